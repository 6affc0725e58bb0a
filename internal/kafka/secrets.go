package kafka

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
)

// digest identifies what credentials hold, and shows nothing of it.
type digest [sha256.Size]byte

// withSecrets puts what is in the files of secrets into the places of the
// secrets, as far as they can be read.
func (o Options) withSecrets() (Options, []Problem) {
	var problems []Problem
	for _, f := range []struct {
		key, file string
		into      *string
	}{
		{"sasl_plain_username", o.SASL.UsernameFile, &o.SASL.Username},
		{"sasl_plain_password", o.SASL.PasswordFile, &o.SASL.Password},
		{oauthKey + ".client_secret", o.SASL.OAuth.ClientSecretFile, &o.SASL.OAuth.ClientSecret},
	} {
		if f.file == "" {
			continue
		}
		if *f.into != "" {
			problems = append(problems, Problem{f.key, "`" + f.key + "_file` is set too: keep one of them"})
			continue
		}
		text, err := readSecret(f.file)
		if err != nil {
			problems = append(problems, Problem{f.key + "_file", err.Error()})
			continue
		}
		*f.into = text
	}
	return o, problems
}

// readSecret gives a file's text without the line end that editors leave.
func readSecret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(b), "\r\n")
	if text == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return text, nil
}

// files says whether the options name any file that is read again when it
// changes. Tokens and keytabs are read whenever they are needed.
func (o Options) files() bool {
	return o.SASL.UsernameFile+o.SASL.PasswordFile+o.SASL.OAuth.ClientSecretFile != "" || o.SSL != nil && o.SSL.Files()
}

// hold gives the options, effective ones, with what their files hold now. They
// name no file of a secret any more, so that hold can be called but once.
func (o Options) hold() (Options, digest, error) {
	o, problems := o.effective()
	if len(problems) == 0 {
		o, problems = o.withSecrets()
	}
	if len(problems) > 0 {
		return o, digest{}, fmt.Errorf("%s: %s", problems[0].Key, problems[0].Message)
	}
	if o.SSL != nil {
		ssl, err := o.SSL.Hold()
		if err != nil {
			return o, digest{}, err
		}
		o.SSL = &ssl
	}
	return o, o.digest(), nil
}

func (o Options) digest() (d digest) {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q\n", o.SASL.Username, o.SASL.Password, o.SASL.OAuth.ClientSecret) // to a hash, which takes everything
	if o.SSL != nil {
		o.SSL.WriteDigest(h)
	}
	h.Sum(d[:0])
	return d
}
