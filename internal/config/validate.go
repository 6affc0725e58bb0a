package config

import (
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"sluice/internal/stream"
)

// The bounds of what can be set.
const (
	maxSize           = Size(1_000_000_000) // librdkafka's message.max.bytes ends here
	minReadBytes      = Size(1 << 20)       // a page has so many
	minStreamLifetime = time.Second
	maxPublishTimeout = 24 * time.Hour
	maxReplication    = 1<<15 - 1
	maxPartitions     = 1_000_000
)

// Validate gives all that is wrong with the configuration by itself, in the
// order of the file. Whether the Kafka keys fit together is package kafka's to
// say.
func (c Config) Validate() Problems {
	var problems Problems
	c.checkListen(&problems)
	c.checkSecurity(&problems)
	c.checkHosts(&problems)
	c.checkOrigins(&problems)
	c.checkQuotas(&problems)
	c.checkEmbedded(&problems)
	c.checkLimits(&problems)
	c.checkReaders(&problems)
	c.checkLog(&problems)
	c.checkStreams(&problems)
	c.checkWebhooks(&problems)
	return problems
}

func (c Config) checkWebhooks(problems *Problems) {
	if _, err := c.Webhooks.Networks(); err != nil {
		problems.Add("webhooks.allow_networks", "%v", err)
	}
	if _, err := c.Webhooks.ProxyURL(); err != nil {
		problems.Add("webhooks.proxy", "%v", err)
	}
	if _, err := c.Webhooks.Keys(); err != nil {
		problems.Add("webhooks.secret_keys", "%v", err)
	}
}

func (c Config) checkListen(problems *Problems) {
	if !isHostPort(c.Listen) {
		problems.Add("listen", "it is HOST:PORT, such as 127.0.0.1:8080")
		return
	}
	if !c.LoopbackOnly() && !c.AllowAnonymous && !c.Authenticated() {
		problems.Add("listen", "%s can be reached from other machines, and no authentication is configured: "+
			"whoever connects could publish, read and delete. Configure `auth`, listen on 127.0.0.1, or, where a proxy or the network "+
			"keeps others out, say so with `allow_anonymous: true` (--allow-anonymous)", c.Listen)
	}
}

func (c Config) checkHosts(problems *Problems) {
	for _, h := range c.AllowedHosts {
		if h == "" || strings.ContainsAny(h, "/@ *") || strings.Contains(h, ":") && net.ParseIP(strings.Trim(h, "[]")) == nil {
			problems.Add("allowed_hosts", "%q is not a host name or address; it has no scheme, port or *", h)
		}
	}
}

// checkOrigins refuses what no browser would send as an origin, so that a page
// that is meant is not shut out in silence.
func (c Config) checkOrigins(problems *Problems) {
	for _, o := range c.CORS.AllowOrigins {
		u, err := url.Parse(o)
		ownPort := map[string]string{"http": "80", "https": "443"} // which browsers leave out
		ok := err == nil && ownPort[u.Scheme] != "" && u.Port() != ownPort[u.Scheme] && u.Hostname() != "" &&
			u.Scheme+"://"+u.Host == o && !strings.Contains(u.Host, "*") && strings.ToLower(o) == o
		if o != "*" && !ok {
			problems.Add("cors.allow_origins", `%q is not an origin as browsers write it: https://app.example or http://localhost:3000, `+
				`in lower case, without a path, a "/" at the end or the scheme's own port; or "*" for all origins`, o)
		}
	}
}

// checkEmbedded refuses to guess which of two brokers is meant.
func (c Config) checkEmbedded(problems *Problems) {
	if !c.Embedded {
		return
	}
	if c.DataDir == "" {
		problems.Add("data_dir", "the embedded broker needs a directory for its data")
	}
	for _, key := range []string{
		"bootstrap_servers", "security_protocol", "ssl_context", "sasl_mechanism",
		"sasl_plain_username", "sasl_plain_password", "sasl_plain_username_file", "sasl_plain_password_file", "sasl_oauth_token_provider",
	} {
		if c.explicit[key] {
			problems.Add(key, "it is set, but the gateway is told to run its own broker: remove it, or --embedded (`embedded`)")
		}
	}
}

func (c Config) checkLimits(problems *Problems) {
	l := c.Limits
	size := func(key string, s Size) {
		if s < 1 || s > maxSize {
			problems.Add("limits."+key, "it is from 1 to %d bytes", maxSize)
		}
	}
	positive := func(key string, ok bool) {
		if !ok {
			problems.Add(key, "it is above 0")
		}
	}
	size("record", l.Record)
	size("body", l.Body)
	size("window_bytes", l.WindowBytes)
	if l.Record <= maxSize && l.WindowBytes < l.Record {
		problems.Add("limits.window_bytes", "it is at least limits.record: the window holds a record")
	}
	positive("limits.results", l.Results > 0)
	positive("limits.window_records", l.WindowRecords > 0)
	positive("limits.read_timeout", l.ReadTimeout > 0)
	positive("limits.write_timeout", l.WriteTimeout > 0)
	positive("shutdown_timeout", c.ShutdownTimeout > 0)
}

// checkReaders checks the limits of reading.
func (c Config) checkReaders(problems *Problems) {
	l := c.Limits
	if l.Followers < 1 {
		problems.Add("limits.followers", "it is above 0")
	}
	if l.FeedBytes < minReadBytes {
		problems.Add("limits.feed_bytes", "it is at least %s", minReadBytes)
	}
	if l.CatchUpBytes < minReadBytes {
		problems.Add("limits.catch_up_bytes", "it is at least %s", minReadBytes)
	}
	if l.GroupMembers < 1 {
		problems.Add("limits.group_members", "it is above 0")
	}
	if time.Duration(l.StreamLifetime) < minStreamLifetime {
		problems.Add("limits.stream_lifetime", "it is at least %s", Duration(minStreamLifetime))
	}
	if c.KeepAlive <= 0 {
		problems.Add("keep_alive", "it is above 0")
	}
}

func (c Config) checkLog(problems *Problems) {
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		problems.Add("log.level", "it is debug, info, warn or error")
	}
	if !slices.Contains([]string{"text", "json", "auto"}, c.Log.Format) {
		problems.Add("log.format", "it is text, json or auto")
	}
}

func (c Config) checkStreams(problems *Problems) {
	// A prefix is good if a stream's topic can begin with it. Some room has to
	// be left for the ids, and for the names of the gateway's own topics.
	const room = 49
	err := stream.Topics{Prefix: c.TopicPrefix}.CheckID("x")
	if err == nil { // CheckID takes the prefix's characters for granted
		err = stream.Topics{}.CheckID("x" + c.TopicPrefix)
	}
	if e := (*stream.Error)(nil); errors.As(err, &e) {
		problems.Add("topic_prefix", "no stream could have it: %s", e.Message)
	} else if len(c.TopicPrefix) > stream.MaxTopicLength-room {
		problems.Add("topic_prefix", "it is at most %d bytes", stream.MaxTopicLength-room)
	}
	if c.ReplicationFactor < 0 || c.ReplicationFactor > maxReplication {
		problems.Add("replication_factor", "it is from 1, or 0 for the number of brokers, at most 3")
	}
	if c.DefaultPartitions < 0 || c.DefaultPartitions > maxPartitions {
		problems.Add("default_partitions", "it is from 1 to %d, or 0 for the broker's default", maxPartitions)
	}
	if c.AutoCommitIntervalMs < 1 {
		problems.Add("auto_commit_interval_ms", "it is at least 1")
	}
	if c.IsolationLevel != "read_committed" && c.IsolationLevel != "read_uncommitted" {
		problems.Add("isolation_level", "it is read_committed or read_uncommitted")
	}
	if c.PublishTimeout < Duration(time.Millisecond) || c.PublishTimeout > Duration(maxPublishTimeout) {
		problems.Add("publish_timeout", "it is from 1ms to 1d")
	}
}
