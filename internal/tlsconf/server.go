package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// lookEvery is how often a server looks whether its files have changed, at
// most: at a handshake.
const lookEvery = time.Second

// ServerFiles are what a server needs to speak TLS: files of PEM.
type ServerFiles struct {
	CertFile     string // the server's certificate, intermediate ones after it
	KeyFile      string // its private key, not encrypted; "" looks for it beside the certificate
	ClientCAFile string // who signs the certificates of clients
	ClientAuth   tls.ClientAuthType
}

// Check gives all that is wrong with the files as of now. Keys are those of the
// configuration: "certfile", "keyfile", "client_cafile".
func (f ServerFiles) Check(now time.Time) []Problem {
	m, problems := f.read()
	return append(problems, renamed(m.outdated(now))...)
}

func (f ServerFiles) read() (*material, []Problem) {
	m, problems := Context{CertFile: f.CertFile, KeyFile: f.KeyFile, CAFile: f.ClientCAFile}.load()
	return m, renamed(problems)
}

// renamed gives the problems the keys of a server.
func renamed(problems []Problem) []Problem {
	for i := range problems {
		switch p := &problems[i]; p.Key {
		case "cafile":
			p.Key = "client_cafile"
		case "password":
			*p = Problem{"keyfile", "the private key is encrypted, which cannot be opened here: store it as it is, readable by the gateway alone"}
		}
	}
	return problems
}

// load makes the configuration of the files as they are. What is out of date is
// served all the same: clients decide about it.
func (f ServerFiles) load() (*tls.Config, error) {
	m, problems := f.read()
	if len(problems) > 0 {
		return nil, fmt.Errorf("tls.%s: %s", problems[0].Key, problems[0].Message)
	}
	own := tls.Certificate{PrivateKey: m.key, Leaf: m.chain[0]}
	for _, cert := range m.chain {
		own.Certificate = append(own.Certificate, cert.Raw)
	}
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own},
		NextProtos: []string{"h2", "http/1.1"}, ClientAuth: f.ClientAuth,
	}
	if len(m.cas) > 0 {
		cfg.ClientCAs = x509.NewCertPool()
		for _, ca := range m.cas {
			cfg.ClientCAs.AddCert(ca)
		}
	}
	return cfg, nil
}

// Server is the TLS of a server, whose files are read again when they change.
// While they cannot be used, the last good ones are: a certificate and its key
// are seldom replaced at the same moment.
type Server struct {
	files ServerFiles
	log   *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	stamps  []stamp // of the files when they were read last; nil: they could not be used
	failed  string  // why they could not, as it was logged
	current *tls.Config
}

// stamp tells one state of a file from another.
type stamp struct {
	size    int64
	changed time.Time
}

// NewServer loads the files. The error names the key that cannot be used.
func NewServer(files ServerFiles, log *slog.Logger) (*Server, error) {
	s := &Server{files: files, log: log.With(slog.String("component", "tls")), looked: time.Now(), stamps: files.stamps()}
	var err error
	s.current, err = files.load()
	return s, err
}

// Config gives the configuration to serve with. Each new connection gets what
// the files hold then; those that there are keep what they have.
func (s *Server) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.now(), nil },
	}
}

// now gives the configuration as of now.
func (s *Server) now() *tls.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.looked) < lookEvery {
		return s.current
	}
	s.looked = time.Now()
	stamps := s.files.stamps()
	if slices.Equal(stamps, s.stamps) {
		return s.current
	}
	next, err := s.files.load()
	if err != nil {
		if s.stamps = nil; s.failed != err.Error() { // it is tried at every look, and told once
			s.failed = err.Error()
			s.log.Error("the files of TLS have changed and cannot be used; the ones before are served", slog.Any("error", err))
		}
		return s.current
	}
	s.stamps, s.failed = stamps, ""
	s.log.Info("the files of TLS were read again", slog.Time("expires", next.Certificates[0].Leaf.NotAfter))
	s.current = next
	return next
}

// stamps gives the state of each file. One that is not there has the zero one.
func (f ServerFiles) stamps() []stamp {
	var all []stamp
	for _, path := range []string{f.CertFile, f.KeyFile, f.ClientCAFile} {
		var st stamp
		if info, err := os.Stat(path); err == nil {
			st = stamp{info.Size(), info.ModTime()}
		}
		all = append(all, st)
	}
	return all
}
