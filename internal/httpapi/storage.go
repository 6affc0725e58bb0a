package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"sluice/internal/stream"
	"sluice/internal/stream/recordjson"
)

// Storage tells how Kafka keeps streams, and has it forget records. The code is
// stream.UnknownStream for a stream that does not exist.
type Storage interface {
	// Partitions gives a stream's partitions, in order.
	Partitions(ctx context.Context, id string) ([]stream.PartitionInfo, error)
	// Settings gives all settings that are in force, sorted by name.
	Settings(ctx context.Context, id string) ([]stream.Setting, error)
	// DeleteRecords deletes the records before a cut, and gives where the
	// partitions that it cut begin then.
	DeleteRecords(ctx context.Context, id string, cut stream.Cut) ([]stream.PartitionBegin, error)
}

// storageRoutes are those about how streams are kept.
func (a *api) storageRoutes() []route {
	return []route{
		{http.MethodGet, "/streams/{stream}/partitions", onSeen(), a.getPartitions},
		{http.MethodGet, "/streams/{stream}/config", onSeen(), a.getConfig},
		// The parameter has the name that GET has for it: the API's description
		// can have a path once.
		{http.MethodDelete, "/streams/{pattern}/records", onStreamIn("pattern", stream.ActionManage), a.deleteRecords},
	}
}

type partitionAnswer struct {
	Partition      int32   `json:"partition"`
	Leader         *int32  `json:"leader"`
	Replicas       []int32 `json:"replicas"`
	InSyncReplicas []int32 `json:"in_sync_replicas"`
	Begin          *int64  `json:"begin"`
	End            *int64  `json:"end"`
	SizeBytes      *int64  `json:"size_bytes"`
}

func (a *api) getPartitions(w http.ResponseWriter, r *http.Request) error {
	id, err := a.streamID(r)
	if err != nil {
		return err
	}
	if err := noQuery(r); err != nil {
		return err
	}
	partitions, err := a.Storage.Partitions(r.Context(), id)
	if err != nil {
		return err
	}
	list := make([]partitionAnswer, 0, len(partitions))
	for _, p := range partitions {
		list = append(list, partitionAnswer{
			Partition: p.Number, Leader: p.Leader, Begin: p.Begin, End: p.End, SizeBytes: p.Size,
			Replicas: append([]int32{}, p.Replicas...), InSyncReplicas: append([]int32{}, p.InSyncReplicas...),
		})
	}
	return a.sendJSON(exchangeOf(w), http.StatusOK, map[string]any{"partitions": list})
}

type settingAnswer struct {
	Name          string               `json:"name"`
	Value         *string              `json:"value"`
	Source        stream.SettingSource `json:"source"`
	Default       bool                 `json:"default"`
	ReadOnly      bool                 `json:"read_only"`
	Sensitive     bool                 `json:"sensitive"`
	Documentation string               `json:"documentation,omitempty"`
}

func (a *api) getConfig(w http.ResponseWriter, r *http.Request) error {
	id, err := a.streamID(r)
	if err != nil {
		return err
	}
	if err := noQuery(r); err != nil {
		return err
	}
	settings, err := a.Storage.Settings(r.Context(), id)
	if err != nil {
		return err
	}
	list := make([]settingAnswer, 0, len(settings))
	for _, s := range settings {
		if s.Sensitive {
			s.Value = nil
		}
		list = append(list, settingAnswer(s))
	}
	return a.sendJSON(exchangeOf(w), http.StatusOK, map[string]any{"config": list})
}

type beginAnswer struct {
	Partition int32 `json:"partition"`
	Begin     int64 `json:"begin"`
}

func (a *api) deleteRecords(w http.ResponseWriter, r *http.Request) error {
	id := pathParam(r, "pattern")
	if strings.ContainsAny(id, "*?[],") {
		return stream.Errorf(stream.InvalidRequest, "records are deleted in one stream at a time: name it by its id")
	}
	if err := a.Topics.CheckID(id); err != nil {
		return err
	}
	p := params{}
	if err := readQuery(r, func(name, value string) { p[name] = value }, "before", "partition", validateOnly); err != nil {
		return err
	}
	cut, err := p.cut()
	if err != nil {
		return err
	}
	begins, err := a.Storage.DeleteRecords(r.Context(), id, cut)
	if err != nil {
		return err
	}
	list := make([]beginAnswer, 0, len(begins))
	for _, b := range begins {
		list = append(list, beginAnswer(b))
	}
	return a.sendJSON(exchangeOf(w), http.StatusOK, map[string]any{"partitions": list})
}

// cut reads which records are to be deleted.
func (p params) cut() (stream.Cut, error) {
	out := stream.Cut{Partition: stream.AnyPartition}
	if v, given := p[validateOnly]; given && v != "false" {
		return out, badParameter(validateOnly, "is not offered by Kafka for deleting records: leave it out, and see the partitions' begin and end by GET /streams/{stream}/partitions before")
	}
	var err error
	text, given := p["partition"]
	if given {
		if out.Partition, err = parsePartition(text); err != nil {
			return out, err
		}
	}
	before := p["before"]
	if before == "latest" {
		out.Start = stream.FromLatest
		return out, nil
	}
	if out.Offset, err = parseDigits(before, 64); err == nil {
		if !given {
			return out, badParameter("before", "is a number, which is an offset: name its partition with partition=; a time is written as 2026-01-31T12:00:00Z")
		}
		out.Start = stream.FromOffset
		return out, nil
	}
	out.Start = stream.FromTime
	out.Time, err = time.Parse(time.RFC3339Nano, before)
	if err != nil || out.Time.UnixMilli() < 0 || out.Time.UnixMilli() > recordjson.MaxTimestamp {
		return out, badParameter("before", "says which records to delete: those older than a time such as 2026-01-31T12:00:00.123Z (in a query, write + as %2B), those before an offset of partition=, or latest for all there are")
	}
	return out, nil
}
