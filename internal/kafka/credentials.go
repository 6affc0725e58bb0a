package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// How often the files of credentials are looked at, how long they must stay as
// they are before what they hold is tried (a certificate and its key are not
// written at once), and how long to wait before what Kafka refused is tried
// again: it doubles, for a login that fails again and again may lock a user out.
const (
	lookEvery   = 2 * time.Second
	settleTime  = 300 * time.Millisecond
	retryTrial  = 2 * time.Second
	retryTrials = time.Minute
	trialAsk    = 500 // milliseconds of one question of a trial, which the gateway's end waits for
)

// credentials keeps as whom the gateway meets Kafka, and whom it trusts: what
// the files of the configuration held when they were last found to be good. All
// clients are made with it, so what lies on disk meanwhile may be anything.
//
// When the files change, what they hold is tried by a client of its own. If that
// is let in, it is used from then on, and the number grows: each client that has
// an older one is replaced by whoever owns it, where that loses nothing.
type credentials struct {
	files   Options // as configured
	log     *slog.Logger
	metrics *metrics

	current atomic.Pointer[identity]
	refusal atomic.Pointer[string] // why what is on disk is not used; nil: it is

	mu     sync.Mutex
	dir    string // of copies of revocation lists; "" before the first
	closed bool
}

// identity is one state of the credentials.
type identity struct {
	number  int64
	options Options // held
	digest  digest
	crl     string // file of a copy of the revocation list, "" for none
}

func newCredentials(o Options, log *slog.Logger, m *metrics) (*credentials, error) {
	c := &credentials{files: o, log: log, metrics: m}
	held, d, err := o.hold()
	if err != nil {
		return nil, err
	}
	c.use(&identity{options: held, digest: d})
	return c, nil
}

// options gives what to reach Kafka with now.
func (c *credentials) options() Options { return c.current.Load().options }

// number counts the changes.
func (c *credentials) number() int64 { return c.current.Load().number }

// properties gives a client's properties of one identity.
func (i *identity) properties() (ckafka.ConfigMap, error) {
	cfg, err := i.options.clientConfig()
	if err == nil && i.crl != "" {
		cfg["ssl.crl.location"] = i.crl
	}
	return cfg, err
}

// use makes an identity the current one.
func (c *credentials) use(next *identity) {
	var err error
	if next.crl, err = c.copyCRL(next); err != nil {
		c.log.Debug("the revocation list is read where it is", slog.Any("error", err))
	}
	c.current.Store(next)
	c.accept()
	if next.options.SSL != nil {
		c.metrics.expiry.Reset()
		for of, end := range next.options.SSL.Expiry() {
			c.metrics.expiry.WithLabelValues(of).Set(float64(end.Unix()))
		}
	}
}

// copyCRL writes the revocation list that is held into a file of the gateway's
// own, for librdkafka takes it from a file alone, whenever a client is made.
func (c *credentials) copyCRL(i *identity) (string, error) {
	if i.options.SSL == nil || i.options.SSL.CRLFile == "" {
		return "", nil
	}
	texts, err := i.options.SSL.Texts()
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return "", os.ErrClosed
	}
	if c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "sluice-crl-"); err != nil {
			return "", err
		}
	}
	name := func(number int64) string { return filepath.Join(c.dir, strconv.FormatInt(number, 10)+".pem") }
	_ = os.Remove(name(i.number - 2)) // nobody is about to read it any more
	return name(i.number), os.WriteFile(name(i.number), []byte(texts.CRL), 0o600)
}

// close removes the copies. No client may be made afterwards.
func (c *credentials) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.dir != "" {
		_ = os.RemoveAll(c.dir)
	}
}

// refuse tells, once, why what is on disk is not used.
func (c *credentials) refuse(reason string) {
	before := c.refusal.Swap(&reason)
	c.metrics.refused.Set(1)
	if before == nil || *before != reason {
		c.log.Error("changed credentials are not used; the gateway goes on with those it has", slog.String("reason", reason))
	}
}

// accept takes back what refuse said.
func (c *credentials) accept() {
	c.metrics.refused.Set(0)
	if c.refusal.Swap(nil) != nil {
		c.log.Info("the credentials on disk are in use")
	}
}

// Credentials says why the credentials that are in the configured files now are
// not used; "" while they are. The gateway goes on with those it has.
func (c *Cluster) Credentials() string {
	if reason := c.creds.refusal.Load(); reason != nil {
		return *reason
	}
	return ""
}

// watchFiles looks at the files of the credentials until ctx ends.
func (c *Cluster) watchFiles(ctx context.Context) {
	if !c.creds.files.files() {
		return
	}
	var t trial
	for pause(ctx, lookEvery); ctx.Err() == nil; pause(ctx, lookEvery) {
		if next := c.changed(ctx, &t); next != nil && ctx.Err() == nil {
			c.creds.use(next)
			c.metrics.renewals.Inc()
			c.log.Info("credentials on disk have changed; the clients of kafka are replaced")
			c.renewClients(ctx)
		}
	}
}

// trial remembers what was refused, and when to try it again.
type trial struct {
	of    digest
	again time.Time
	wait  time.Duration
}

// due says whether that is to be tried now.
func (t *trial) due(d digest, now time.Time) bool {
	if t.of != d {
		*t = trial{of: d, wait: retryTrial}
	}
	return !now.Before(t.again)
}

// failed puts the next try off.
func (t *trial) failed(now time.Time) {
	t.again, t.wait = now.Add(t.wait), min(2*t.wait, retryTrials)
}

// changed looks at the files once, and gives what they hold if it is to be used
// instead of what there is.
func (c *Cluster) changed(ctx context.Context, t *trial) *identity {
	now := c.creds.current.Load()
	held, d, err := c.creds.files.hold()
	switch {
	case err != nil:
		c.creds.refuse(err.Error())
		return nil
	case d == now.digest:
		c.creds.accept()
		return nil
	case !t.due(d, time.Now()):
		return nil
	}
	pause(ctx, settleTime)
	problems := c.creds.files.Validate()
	if _, still, err := c.creds.files.hold(); err != nil || still != d {
		return nil // they are being written: another look
	}
	if len(problems) > 0 {
		t.failed(time.Now())
		c.creds.refuse("`" + problems[0].Key + "`: " + problems[0].Message)
		return nil
	}
	next := &identity{number: now.number + 1, options: held, digest: d}
	if reason := c.try(ctx, next); reason != "" {
		t.failed(time.Now())
		c.creds.refuse("Kafka does not take them: " + reason)
		return nil
	}
	return next
}

// try says why Kafka does not let a client in that has other credentials, "" if
// it does.
func (c *Cluster) try(ctx context.Context, next *identity) string {
	consumer, err := c.consumerAs(next, nil)
	if err != nil {
		return err.Error()
	}
	defer consumer.Close()
	for end := time.Now().Add(callTimeout); ctx.Err() == nil && time.Now().Before(end); {
		if _, err = consumer.GetMetadata(nil, false, trialAsk); err == nil {
			return ""
		}
	}
	d := newDoctor(func() Options { return next.options }, nil, c.log)
	for ev := consumer.Poll(0); ev != nil; ev = consumer.Poll(0) {
		if e, ok := ev.(ckafka.Error); ok {
			d.listen(e)
		}
	}
	if f := d.diagnose(ctx); f.text != "" {
		return f.text
	}
	return fmt.Sprintf("no broker answers (%v)", err)
}

// onRenewal has f called whenever credentials have changed, by one goroutine,
// until forget is called.
func (c *Cluster) onRenewal(f func(context.Context)) (forget func()) {
	own := &f
	c.renewing.Lock()
	defer c.renewing.Unlock()
	c.renewals = append(slices.Clip(c.renewals), own)
	return func() {
		c.renewing.Lock()
		defer c.renewing.Unlock()
		c.renewals = slices.DeleteFunc(slices.Clone(c.renewals), func(other *func(context.Context)) bool { return other == own })
	}
}

// renewClients replaces the clients that publish, then the control connection:
// while that cannot reach Kafka nobody publishes, so that what waits in a
// producer that is not let in any more is at most what was there before.
// Consumers are replaced by whoever reads with them.
func (c *Cluster) renewClients(ctx context.Context) {
	c.renewing.Lock()
	renewals := c.renewals
	c.renewing.Unlock()
	for _, renew := range renewals {
		(*renew)(ctx)
	}
	if ctx.Err() != nil {
		return
	}
	cfg, err := c.config(ckafka.ConfigMap{"enable.idempotence": false})
	if err == nil {
		err = c.handle.renew(cfg)
	}
	if err != nil {
		c.log.Error("the control connection keeps its credentials", slog.Any("error", err))
		return
	}
	c.spawn(c.watch)
}

// stale says whether a client made with credentials of that number is to be
// replaced.
func (c *Cluster) stale(number int64) bool { return c.creds.number() != number }
