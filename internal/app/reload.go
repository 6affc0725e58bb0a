package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/internal/auth"
	"sluice/internal/config"
	"sluice/internal/stream"
)

// lookEvery is how often the configuration's file is looked at.
const lookEvery = time.Second

// reloadAction is what the audit log calls a new configuration.
const reloadAction = "reload"

// reloadable says whether a key can change while the gateway runs: who callers
// are and what they may do.
func reloadable(key string) bool {
	return slices.ContainsFunc([]string{"auth.tokens", "auth.rules", "auth.oidc", "auth.event_token_keys"}, func(k string) bool {
		return key == k || strings.HasPrefix(key, k+".")
	})
}

// reloading reads the configuration again when its file changes, or when it is
// told to. A file with mistakes changes nothing at all.
type reloading struct {
	log     *slog.Logger
	config  config.Config // as it is in force
	callers *auth.Auth    // nil: nobody is asked who they are
	record  func(stream.Decision)
	hangup  <-chan os.Signal // nil: nobody tells it to

	running sync.WaitGroup
	stop    context.CancelFunc
}

func (r *reloading) start() {
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	r.running.Go(func() { r.run(ctx) })
}

func (r *reloading) close() {
	r.stop()
	r.running.Wait()
}

// run looks until ctx ends. A file that changes is read when it looked the same
// twice: half of a file, caught while it is written, may be a configuration
// with fewer rules.
func (r *reloading) run(ctx context.Context) {
	read := stateOf(r.config.File())
	seen := read
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.hangup:
			read = stateOf(r.config.File())
			seen = read
			r.again()
		case <-tick.C:
			is := stateOf(r.config.File())
			if settled := is == seen; settled && is != read {
				read = is
				r.again()
			}
			seen = is
		}
	}
}

// fileState tells one state of a file from another.
type fileState struct {
	size    int64
	changed time.Time
}

// stateOf gives the zero value for a file that is not there.
func stateOf(path string) fileState {
	info, err := os.Stat(path)
	if err != nil {
		return fileState{}
	}
	return fileState{info.Size(), info.ModTime()}
}

// again reads the configuration, and puts in force what can be.
func (r *reloading) again() {
	next, problems := r.config.Again()
	problems = append(problems, Check(next)...)
	mixed := r.config // what stays needs a restart to change
	mixed.Auth.Tokens, mixed.Auth.Rules, mixed.Auth.OIDC, mixed.Auth.EventTokenKeys = next.Auth.Tokens, next.Auth.Rules, next.Auth.OIDC, next.Auth.EventTokenKeys
	if r.callers != nil && !mixed.Authenticated() {
		problems.Add("auth", "it would let everybody in, which the gateway does not begin while it runs: restart it if that is meant")
	}
	var now, later []string
	for _, key := range r.config.Differs(next) {
		if r.callers != nil && reloadable(key) {
			now = append(now, key)
		} else {
			later = append(later, key)
		}
	}
	err := problems.Err()
	if err == nil {
		err = r.putInForce(mixed, now)
	}
	if err != nil {
		r.log.Error("the configuration has changed and has mistakes; the one before stays in force, all of it", slog.Any("error", err))
		r.record(stream.Decision{Kind: stream.AuditChange, Outcome: stream.AuditFailed, Action: reloadAction, Detail: "the configuration has mistakes, and the one before stays in force"})
		return
	}
	if len(later) > 0 {
		r.log.Warn("the configuration has changed in keys that need a restart", slog.Any("keys", later))
	}
}

// putInForce takes other tokens, rules and issuers.
func (r *reloading) putInForce(c config.Config, keys []string) error {
	if r.callers == nil {
		return nil
	}
	o, problems := authOptions(c)
	if err := problems.Err(); err != nil {
		return err
	}
	var err error
	if o.EventKeys, err = eventKeys(c); err != nil {
		return err
	}
	o.PassThrough.Claim = c.Auth.OIDC.PrincipalClaim
	if err := r.callers.Replace(o); err != nil {
		return err
	}
	came, went := tokenNames(r.config, c)
	r.config = c
	if len(keys) == 0 {
		r.log.Info("the configuration was read again: who callers are and what they may do is the same")
		return nil
	}
	r.log.Info("the configuration was read again: what callers may do has changed", slog.Any("keys", keys),
		slog.Any("tokens_added", came), slog.Any("tokens_removed", went))
	r.record(stream.Decision{
		Kind: stream.AuditChange, Outcome: stream.AuditAllowed, Action: reloadAction,
		Detail: fmt.Sprintf("changed: %s; tokens added: %q; tokens removed: %q", strings.Join(keys, ", "), came, went),
	})
	return nil
}

// tokenNames gives the names of the tokens that only the second, or only the
// first configuration has. One whose text is another came and went.
func tokenNames(before, after config.Config) (came, went []string) {
	missing := func(from, in []config.Token) []string {
		names := []string{}
		for _, t := range from {
			if !slices.Contains(in, t) {
				names = append(names, t.Name)
			}
		}
		return names
	}
	return missing(after.Auth.Tokens, before.Auth.Tokens), missing(before.Auth.Tokens, after.Auth.Tokens)
}
