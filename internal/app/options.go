package app

import (
	"time"

	"sluice/internal/config"
	"sluice/internal/console"
	"sluice/internal/httpapi"
	"sluice/internal/kafka"
	"sluice/internal/tlsconf"
)

// Check gives what is wrong with the Kafka keys together, and with tokens,
// rules and the files of TLS, in addition to what the configuration finds by itself.
func Check(c config.Config) config.Problems {
	_, problems := authOptions(c)
	checkTLS(c.TLS, &problems)
	o := kafkaOptions(c)
	for _, p := range append(o.Validate(), o.CheckCallers(c.Auth.PassThrough.Mechanisms()...)...) {
		problems.Add(p.Key, "%s", p.Message)
	}
	return problems
}

// newConsole gives the web page for people; nil where there is to be none.
func newConsole(c config.Config) (httpapi.Console, error) {
	if !c.Console {
		return nil, nil
	}
	return console.New()
}

func limits(c config.Config) httpapi.Limits {
	l := c.Limits
	return httpapi.Limits{
		Record: int(l.Record), Body: int(l.Body), Results: l.Results,
		WindowRecords: l.WindowRecords, WindowBytes: int(l.WindowBytes),
		ReadTimeout: time.Duration(l.ReadTimeout), WriteTimeout: time.Duration(l.WriteTimeout),
		StreamLifetime: time.Duration(l.StreamLifetime), KeepAlive: time.Duration(c.KeepAlive),
	}
}

// kafkaOptions says in Kafka's words what the configuration says.
func kafkaOptions(c config.Config) kafka.Options {
	o := kafka.Options{
		BootstrapServers: c.BootstrapServers,
		SecurityProtocol: c.SecurityProtocol,
		SASL: kafka.SASL{
			Mechanism: c.SASLMechanism, Username: c.SASLPlainUsername, Password: c.SASLPlainPassword.Reveal(),
			UsernameFile: c.SASLPlainUsernameFile, PasswordFile: c.SASLPlainPasswordFile,
			KerberosService: c.SASLKerberosServiceName, KerberosDomain: c.SASLKerberosDomainName,
			KerberosKeytab: c.SASLKerberosKeytab, KerberosPrincipal: c.SASLKerberosPrincipal,
		},
		Client: kafka.Client{
			ID:                 c.ClientID,
			ReconnectBackoffMs: c.ReconnectBackoffMs, ReconnectBackoffMaxMs: c.ReconnectBackoffMaxMs,
			RequestTimeoutMs: c.RequestTimeoutMs, ConnectionsMaxIdleMs: c.ConnectionsMaxIdleMs,
			RetryBackoffMs: c.RetryBackoffMs, MaxInFlight: c.MaxInFlightRequestsPerConnection,
			ReceiveBufferBytes: c.ReceiveBufferBytes, SendBufferBytes: c.SendBufferBytes,
			MetadataMaxAgeMs: c.MetadataMaxAgeMs,
			APIVersion:       c.APIVersion, APIVersionAutoTimeoutMs: c.APIVersionAutoTimeoutMs,
		},
		Settings: c.KafkaSettings,
	}
	if p := c.SASLOAuthTokenProvider; p != nil {
		o.SASL.OAuth = kafka.OAuth{
			TokenEndpointURL: p.TokenEndpointURL, ClientID: p.ClientID, ClientSecret: p.ClientSecret.Reveal(), ClientSecretFile: p.ClientSecretFile,
			Scope: p.Scope, Extensions: p.Extensions, TokenFile: p.TokenFile,
		}
	}
	if s := c.SSLContext; s != nil {
		o.SSL = &tlsconf.Context{
			CAFile: s.CAFile, CAPath: s.CAPath, CAData: s.CAData,
			CertFile: s.CertFile, KeyFile: s.KeyFile, CertData: s.CertData, KeyData: s.KeyData.Reveal(), Password: s.Password.Reveal(), PasswordFile: s.PasswordFile,
			SkipHostname: s.CheckHostname != nil && !*s.CheckHostname, CRLFile: s.CRLFile, Ciphers: s.Ciphers,
		}
	}
	return o
}

// apiOptions puts what is configured of the API into its options.
func apiOptions(api *httpapi.Options, c config.Config, authenticated bool) {
	api.Limits = limits(c)
	api.MetricsApart = c.AdminListen != ""
	api.LoopbackOnly, api.AllowedHosts, api.AllowOrigins = c.LoopbackOnly(), c.AllowedHosts, c.CORS.AllowOrigins
	api.AccessContext = accessContext(c.Log)
	api.WarnPlain = authenticated && plainBehindProxies(c)
	api.AutoCommit, api.AutoCommitInterval = c.AutoCommit, time.Duration(c.AutoCommitIntervalMs)*time.Millisecond
	api.Reserved = reserved(c)
}
