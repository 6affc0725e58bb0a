package httpapi

import (
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream"
)

// Topic settings that the API has members of its own for.
const (
	retentionSetting = "retention.ms"
	cleanupSetting   = "cleanup.policy"
)

// streamInfo is a stream as it is answered. What GET answers, PUT takes.
type streamInfo struct {
	ID                string            `json:"id"`
	Schema            *string           `json:"schema"`   // null: unbound
	Envelope          *bool             `json:"envelope"` // null: unbound
	Partitions        int               `json:"partitions"`
	ReplicationFactor int               `json:"replication_factor"`
	Retention         *retention        `json:"retention,omitempty"`
	CleanupPolicy     *string           `json:"cleanup_policy,omitempty"`
	Config            map[string]string `json:"config,omitzero"`
}

func newStreamInfo(info *stream.Info) streamInfo {
	out := streamInfo{
		ID:                info.ID,
		Partitions:        info.Partitions,
		ReplicationFactor: info.ReplicationFactor,
		Config:            maps.Clone(info.Config),
	}
	if !info.Schema.IsZero() {
		ref := info.Schema.String()
		out.Schema, out.Envelope = &ref, &info.Envelope
	}
	if policy, ok := out.Config[cleanupSetting]; ok {
		out.CleanupPolicy = &policy
		delete(out.Config, cleanupSetting)
	}
	if kept, ok := retentionOf(out.Config[retentionSetting]); ok {
		out.Retention = &kept
		delete(out.Config, retentionSetting)
	}
	return out
}

// retentionOf reads Kafka's retention.ms; -1 is for ever.
func retentionOf(ms string) (retention, bool) {
	n, err := strconv.ParseInt(ms, 10, 64)
	switch {
	case err != nil:
		return 0, false
	case n < 0:
		return -1, true
	case n > int64(1<<63-1)/int64(time.Millisecond): // longer than a Duration can say
		return -1, false
	}
	return retention(time.Duration(n) * time.Millisecond), true
}

// streamChange is the body of PUT /streams/{stream}.
type streamChange struct {
	ID                *string                  `json:"id"` // only as GET answers it
	Schema            *string                  `json:"schema"`
	Envelope          *bool                    `json:"envelope"`
	Partitions        *int                     `json:"partitions"`
	ReplicationFactor *int                     `json:"replication_factor"`
	Retention         *retention               `json:"retention"`
	CleanupPolicy     *string                  `json:"cleanup_policy"`
	Config            map[string]*settingValue `json:"config"`
}

// settingValue is the value of a topic setting: a string, or a number or a
// boolean, which Kafka takes as the text that it is.
type settingValue string

// UnmarshalJSONFrom reads a setting.
func (s *settingValue) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	v, err := dec.ReadValue()
	if err != nil {
		return err
	}
	if k := v.Kind(); k == '{' || k == '[' {
		return stream.Errorf(stream.InvalidRequest, "a topic setting is a string, a number, true, false, or null to take it back to the broker's")
	}
	*s = settingValue(unquoteIfString(v))
	return nil
}

// change gives what the body of a PUT to the stream asks for.
func (c *streamChange) change(id string) (stream.Change, error) {
	out := stream.Change{
		Envelope:          c.Envelope,
		Partitions:        c.Partitions,
		ReplicationFactor: c.ReplicationFactor,
		Retention:         (*time.Duration)(c.Retention),
		CleanupPolicy:     c.CleanupPolicy,
	}
	if c.ID != nil && *c.ID != id {
		return out, memberError("id", "is not the stream's id in the path, and cannot change")
	}
	if c.Schema != nil {
		ref, err := stream.ParseSchemaRef(*c.Schema)
		if err != nil {
			return out, wrapMember("schema", err)
		}
		out.Schema = &ref
	}
	if c.Partitions != nil && *c.Partitions < 1 {
		return out, memberError("partitions", "is at least 1")
	}
	if c.ReplicationFactor != nil && (*c.ReplicationFactor < 1 || *c.ReplicationFactor > 1<<15-1) {
		return out, memberError("replication_factor", "is 1 to 32767")
	}
	if c.CleanupPolicy != nil && !knownPolicy(*c.CleanupPolicy) {
		return out, memberError("cleanup_policy", `is "delete", "compact" or "compact,delete"`)
	}
	return out, c.settings(&out)
}

func (c *streamChange) settings(out *stream.Change) error {
	if len(c.Config) == 0 {
		return nil
	}
	out.Config = make(map[string]*string, len(c.Config))
	for name, value := range c.Config {
		if name == "" {
			return memberError("config", "has a setting without a name")
		}
		out.Config[name] = (*string)(value)
	}
	if _, twice := out.Config[retentionSetting]; twice && c.Retention != nil {
		return memberError("retention", "is given again in config, as "+retentionSetting+"; leave one out")
	}
	if _, twice := out.Config[cleanupSetting]; twice && c.CleanupPolicy != nil {
		return memberError("cleanup_policy", "is given again in config, as "+cleanupSetting+"; leave one out")
	}
	return nil
}

func knownPolicy(s string) bool {
	return s == "delete" || s == "compact" || s == "compact,delete" || s == "delete,compact"
}

// listedPattern gives what a list is about: all, unless the query says which.
func listedPattern(r *http.Request) (stream.Pattern, error) {
	text := "*"
	if err := readQuery(r, func(_, value string) { text = value }, "pattern"); err != nil {
		return stream.Pattern{}, err
	}
	return stream.ParsePattern(text)
}

func (a *api) listStreams(w http.ResponseWriter, r *http.Request) error {
	pattern, err := listedPattern(r)
	if err != nil {
		return err
	}
	infos, err := a.Streams.List(r.Context(), pattern)
	if err != nil {
		return err
	}
	list := make([]streamInfo, 0, len(infos))
	for i := range infos {
		if seen(r, infos[i].ID) {
			list = append(list, newStreamInfo(&infos[i]))
		}
	}
	return a.sendJSON(exchangeOf(w), http.StatusOK, map[string]any{"streams": list})
}

func (a *api) putStream(w http.ResponseWriter, r *http.Request) error {
	id, err := a.streamID(r)
	if err != nil {
		return err
	}
	trial, err := readTrial(r)
	if err != nil {
		return err
	}
	x := exchangeOf(w)
	var body streamChange
	if err := a.readJSON(x, r, &body); err != nil {
		return err
	}
	change, err := body.change(id)
	if err != nil {
		return err
	}
	if trial {
		creates, err := a.Streams.Validate(r.Context(), id, change)
		if err != nil {
			return err
		}
		return a.sendJSON(x, http.StatusOK, map[string]bool{"valid": true, "creates": creates})
	}
	info, created, err := a.Streams.Change(r.Context(), id, change)
	if err != nil {
		return err
	}
	if created {
		x.Header().Set("Location", "/streams/"+id)
		return a.sendJSON(x, http.StatusCreated, newStreamInfo(&info))
	}
	return a.sendJSON(x, http.StatusOK, newStreamInfo(&info))
}

// validateOnly is the parameter of a trial: the broker checks, and changes
// nothing.
const validateOnly = "validate_only"

// readTrial says whether the request asks for a trial; it takes nothing else.
func readTrial(r *http.Request) (bool, error) {
	text := "false"
	if err := readQuery(r, func(_, value string) { text = value }, validateOnly); err != nil {
		return false, err
	}
	if text != "true" && text != "false" {
		return false, badParameter(validateOnly, "is true or false")
	}
	return text == "true", nil
}

func (a *api) getStream(w http.ResponseWriter, r *http.Request) error {
	id, err := a.streamID(r)
	if err != nil {
		return err
	}
	if err := noQuery(r); err != nil {
		return err
	}
	info, err := a.Streams.Describe(r.Context(), id)
	if err != nil {
		return err
	}
	return a.sendJSON(exchangeOf(w), http.StatusOK, newStreamInfo(&info))
}

func (a *api) deleteStream(w http.ResponseWriter, r *http.Request) error {
	id, err := a.streamID(r)
	if err != nil {
		return err
	}
	if err := noQuery(r); err != nil {
		return err
	}
	if err := a.Streams.Delete(r.Context(), id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
