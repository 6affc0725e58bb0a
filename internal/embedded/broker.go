// Package embedded is the Kafka broker inside the gateway's own process, for a
// first try, for small installations on one machine, and for tests. It speaks
// the Kafka protocol on a loopback port, so the rest of the gateway, and any
// Kafka client on the machine, uses it like every other broker.
//
// Beneath is kfake, franz-go's in-process broker. This package adds what a
// broker that keeps people's data needs: a lock on the data directory, a port
// and a cluster id that survive a restart, a listener that hostile bytes
// cannot crash, Kafka's checks of topic names and settings, retention that
// deletes only what is old, and compaction that is paced.
//
// It is not a cluster: there is one broker, one copy of the data, no TLS and
// no authentication. What the broker has acknowledged survives the death of
// the process (kill -9) in every case, and the loss of power only with
// Options.Sync, as with a single Kafka broker at its default settings.
package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Options says how to start a Broker. The zero value is a broker that keeps
// its data in memory and logs nothing.
type Options struct {
	// DataDir is the directory to keep the data in; it is made if need be,
	// and only one Broker can use it at a time. Empty: the data is in memory
	// and lost with the Broker.
	DataDir string

	// Port is the port on 127.0.0.1 to listen on. 0 takes the one that DataDir
	// was served on last time, or else a free one.
	Port int

	// Partitions is the number of partitions of a topic that is created
	// without one; 0 means 1.
	Partitions int

	// AutoCreateTopics creates topics that a client asks about, as Kafka does
	// with auto.create.topics.enable=true.
	AutoCreateTopics bool

	// Sync writes each batch through to the disk before it is acknowledged.
	// Without it a loss of power can take the last seconds of acknowledged
	// records; with it publishing is as slow as the disk's fsync.
	Sync bool

	// Upkeep is how often retention and compaction are looked after; 0 means
	// every 15 seconds, a negative duration never.
	Upkeep time.Duration

	// Log receives what goes wrong inside the broker. Nil discards it.
	Log *slog.Logger
}

// Broker is a running embedded broker. Close ends it.
type Broker struct {
	cluster *kfake.Cluster
	addr    string
	lock    *os.File // nil for a broker in memory
	upkeep  *upkeep  // nil where it is switched off
}

// Start starts a broker and returns when it accepts connections. It fails
// with an *InUseError when another process has the data directory.
func Start(o Options) (*Broker, error) {
	o = o.withDefaults()
	b := &Broker{}
	var saved state
	if o.DataDir != "" {
		if err := os.MkdirAll(o.DataDir, 0o700); err != nil {
			return nil, fmt.Errorf("make the data directory: %w", err)
		}
		var err error
		if b.lock, err = lockDir(o.DataDir); err != nil {
			return nil, err
		}
		if saved, err = loadState(o.DataDir); err != nil {
			b.unlock()
			return nil, err
		}
	}
	if err := b.start(o, saved); err != nil {
		b.unlock()
		return nil, err
	}
	return b, nil
}

// start brings the broker up on the port asked for, on the last one, or on any
// free one, in that order, and keeps the choice.
func (b *Broker) start(o Options, saved state) error {
	saved = saved.withDefaults()
	port := saved.Port
	if o.Port != 0 {
		port = o.Port
	}
	err := b.listen(o, saved, port)
	if o.Port == 0 && port != 0 && errors.Is(err, syscall.EADDRINUSE) {
		o.Log.Warn("the embedded broker's last port is taken, so its address changes", slog.Int("port", port))
		err = b.listen(o, saved, 0)
	}
	if err != nil {
		return fmt.Errorf("start the embedded broker: %w", err)
	}
	if o.DataDir == "" {
		return nil
	}
	if saved.Port, err = portOf(b.addr); err == nil {
		err = saved.save(o.DataDir)
	}
	if err != nil {
		b.stop()
	}
	return err
}

// listen starts kfake on one port and puts this package's rules around it. No
// connection is served before the rules stand.
func (b *Broker) listen(o Options, saved state, port int) error {
	gate := make(chan struct{})
	defer close(gate)
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.Ports(port),
		kfake.ClusterID(saved.ClusterID),
		kfake.DefaultNumPartitions(o.Partitions),
		kfake.ListenFn(guardedListen(gate)),
		kfake.WithLogger(logger{o.Log}),
		kfake.BrokerConfigs(brokerConfigs()),
	}
	if o.DataDir != "" {
		opts = append(opts, kfake.DataDir(filepath.Join(o.DataDir, "kafka")))
	}
	if o.AutoCreateTopics {
		opts = append(opts, kfake.AllowAutoTopicCreation())
	}
	if o.Sync {
		opts = append(opts, kfake.SyncWrites())
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return err
	}
	newRules(cluster).install()
	b.cluster = cluster
	b.addr = cluster.ListenAddrs()[0]
	if o.Upkeep > 0 {
		if b.upkeep, err = startUpkeep(cluster, o.Upkeep, o.Log); err != nil {
			cluster.Close()
			return err
		}
	}
	return nil
}

// Addr is the broker's address as host:port, for bootstrap.servers.
func (b *Broker) Addr() string { return b.addr }

// Cluster is the broker's inside, for tests that inject faults. No method of
// it may be called once Close has begun: it would block for ever.
func (b *Broker) Cluster() *kfake.Cluster { return b.cluster }

// Close stops the broker, writes everything down, and frees the data
// directory. Further calls do nothing.
func (b *Broker) Close() {
	b.stop()
	b.unlock()
}

func (b *Broker) stop() {
	b.upkeep.stop()
	b.cluster.Close()
}

func (b *Broker) unlock() {
	if b.lock != nil {
		b.lock.Close()
		b.lock = nil
	}
}

func (o Options) withDefaults() Options {
	if o.Partitions == 0 {
		o.Partitions = 1
	}
	if o.Upkeep == 0 {
		o.Upkeep = 15 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func portOf(addr string) (int, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}
