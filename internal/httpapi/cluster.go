package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"sluice/internal/stream"
	"sluice/internal/stream/recordjson"
)

// Brokers tells of Kafka's cluster.
type Brokers interface {
	// Cluster gives the whole.
	Cluster(ctx context.Context) (stream.Cluster, error)
	// List gives the brokers that there are at the moment, sorted by id.
	List(ctx context.Context) ([]stream.Broker, error)
	// APIVersions gives the requests that a broker knows; the code is
	// stream.UnknownBroker when there is none of that id.
	APIVersions(ctx context.Context, id int32) (stream.APIVersions, error)
}

// clusterRoutes are those about Kafka itself.
func (a *api) clusterRoutes() []route {
	return []route{
		{http.MethodGet, "/cluster", somewhere(stream.ActionManage), a.getCluster},
		{http.MethodGet, "/cluster/brokers", somewhere(stream.ActionManage), a.listBrokers},
		{http.MethodGet, "/cluster/brokers/{id}", somewhere(stream.ActionManage), a.getBroker},
		{http.MethodGet, "/cluster/brokers/{id}/api-versions", somewhere(stream.ActionManage), a.getAPIVersions},
	}
}

type clusterAnswer struct {
	ID           *string        `json:"id"`
	Controller   *int32         `json:"controller"`
	KafkaVersion *string        `json:"kafka_version"`
	Brokers      []brokerAnswer `json:"brokers"`
}

// brokerAnswer is a broker, and how the gateway is connected with it.
type brokerAnswer struct {
	ID             int32                  `json:"id"`
	Host           string                 `json:"host"`
	Port           int                    `json:"port"`
	Rack           *string                `json:"rack"`
	Controller     bool                   `json:"controller"`
	State          stream.ConnectionState `json:"state"`
	ReconnectDelay string                 `json:"reconnect_delay"`
	InFlight       int                    `json:"in_flight"`
	RoundTrip      *roundTripAnswer       `json:"round_trip"`
	BytesSent      int64                  `json:"bytes_sent"`
	BytesReceived  int64                  `json:"bytes_received"`
	Connects       int64                  `json:"connects"`
	Disconnects    int64                  `json:"disconnects"`
	Throttle       string                 `json:"throttle"`
	LastError      *connectionError       `json:"last_error"`
	LeastLoaded    bool                   `json:"least_loaded"`
	Observed       *string                `json:"observed"`
}

type roundTripAnswer struct {
	P50 string `json:"p50"`
	P99 string `json:"p99"`
}

type connectionError struct {
	At     string `json:"at"`
	Detail string `json:"detail"`
}

func newBrokerAnswer(b stream.Broker) brokerAnswer {
	c := b.Connection
	out := brokerAnswer{
		ID: b.ID, Host: b.Host, Port: b.Port, Rack: b.Rack, Controller: b.Controller, LeastLoaded: b.LeastLoaded,
		State: c.State, ReconnectDelay: c.ReconnectDelay.String(), InFlight: c.InFlight, Throttle: c.Throttle.String(),
		BytesSent: c.Sent, BytesReceived: c.Received, Connects: c.Connects, Disconnects: c.Disconnects,
	}
	if c.RoundTrip != nil {
		out.RoundTrip = &roundTripAnswer{
			P50: c.RoundTrip.P50.Round(time.Microsecond).String(), P99: c.RoundTrip.P99.Round(time.Microsecond).String(),
		}
	}
	if c.LastError != nil {
		out.LastError = &connectionError{At: c.LastError.At.UTC().Format(recordjson.TimeLayout), Detail: c.LastError.Detail}
	}
	if !c.Observed.IsZero() {
		out.Observed = new(c.Observed.UTC().Format(recordjson.TimeLayout))
	}
	return out
}

func brokerAnswers(brokers []stream.Broker) []brokerAnswer {
	all := make([]brokerAnswer, 0, len(brokers))
	for _, b := range brokers {
		all = append(all, newBrokerAnswer(b))
	}
	return all
}

// textOrNull makes an empty text the null of an answer.
func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (a *api) getCluster(w http.ResponseWriter, r *http.Request) error {
	if err := noQuery(r); err != nil {
		return err
	}
	c, err := a.Brokers.Cluster(r.Context())
	if err != nil {
		return err
	}
	return a.sendJSON(exchangeOf(w), http.StatusOK, clusterAnswer{
		ID: textOrNull(c.ID), Controller: c.Controller, KafkaVersion: textOrNull(c.KafkaVersion), Brokers: brokerAnswers(c.Brokers),
	})
}

func (a *api) listBrokers(w http.ResponseWriter, r *http.Request) error {
	if err := noQuery(r); err != nil {
		return err
	}
	brokers, err := a.Brokers.List(r.Context())
	if err != nil {
		return err
	}
	return a.sendJSON(exchangeOf(w), http.StatusOK, map[string]any{"brokers": brokerAnswers(brokers)})
}

// brokerID reads the broker of the path.
func brokerID(r *http.Request) (int32, error) {
	n, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 32)
	if err != nil || n < 0 {
		return 0, badParameter("id", "of a broker is a whole number from 0; GET /cluster/brokers lists them")
	}
	return int32(n), noQuery(r)
}

func (a *api) getBroker(w http.ResponseWriter, r *http.Request) error {
	id, err := brokerID(r)
	if err != nil {
		return err
	}
	brokers, err := a.Brokers.List(r.Context())
	if err != nil {
		return err
	}
	for _, b := range brokers {
		if b.ID == id {
			return a.sendJSON(exchangeOf(w), http.StatusOK, newBrokerAnswer(b))
		}
	}
	return stream.Errorf(stream.UnknownBroker, "the cluster has no broker %d at the moment; GET /cluster/brokers lists those it has", id)
}

type apiRange struct {
	Key  int16   `json:"key"`
	Name *string `json:"name"`
	Min  int16   `json:"min"`
	Max  int16   `json:"max"`
}

func (a *api) getAPIVersions(w http.ResponseWriter, r *http.Request) error {
	id, err := brokerID(r)
	if err != nil {
		return err
	}
	v, err := a.Brokers.APIVersions(r.Context(), id)
	if err != nil {
		return err
	}
	ranges := make([]apiRange, 0, len(v.APIs))
	for _, k := range v.APIs {
		ranges = append(ranges, apiRange{k.Key, textOrNull(k.Name), k.Min, k.Max})
	}
	return a.sendJSON(exchangeOf(w), http.StatusOK, map[string]any{"broker": v.Broker, "version": v.Version, "api_versions": ranges})
}
