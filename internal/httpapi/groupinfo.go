package httpapi

import "sluice/internal/stream"

// groupSummary is a consumer group in a list.
type groupSummary struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	Protocol string `json:"protocol"`
	Members  int    `json:"members"`
}

// groupInfo is a consumer group, and how far it has come.
type groupInfo struct {
	ID          string              `json:"id"`
	State       string              `json:"state"`
	Protocol    string              `json:"protocol"`
	Assignor    *string             `json:"assignor"` // null: not decided
	Coordinator int32               `json:"coordinator"`
	Members     []groupMemberInfo   `json:"members"`
	Lag         int64               `json:"lag"`
	Partitions  []groupProgressInfo `json:"partitions"`
}

type groupMemberInfo struct {
	ID         string          `json:"id"`
	InstanceID *string         `json:"instance_id"` // null: it is no static member
	ClientID   string          `json:"client_id"`
	Host       string          `json:"host"`
	Assignment []partitionName `json:"assignment"`
	Others     int             `json:"other_partitions"`
}

type partitionName struct {
	Stream    string `json:"stream"`
	Partition int32  `json:"partition"`
}

type groupProgressInfo struct {
	Stream    string  `json:"stream"`
	Partition int32   `json:"partition"`
	Committed *int64  `json:"committed"` // null: nothing
	End       int64   `json:"end"`
	Lag       *int64  `json:"lag"`    // null: not known
	Member    *string `json:"member"` // null: nobody reads it
}

// offsetInfo is a place that a group is moved to, or a request moves it to.
type offsetInfo struct {
	Stream    string `json:"stream"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

func newGroupInfo(g *stream.GroupReport) groupInfo {
	out := groupInfo{
		ID: g.ID, State: g.State, Protocol: g.Protocol, Assignor: optional(g.Assignor), Coordinator: g.Coordinator, Lag: g.Lag,
		Members: []groupMemberInfo{}, Partitions: []groupProgressInfo{},
	}
	for _, m := range g.Members {
		member := groupMemberInfo{
			ID: m.ID, InstanceID: optional(m.InstanceID), ClientID: m.ClientID, Host: m.Host, Assignment: []partitionName{}, Others: m.Others,
		}
		for _, p := range m.Assignment {
			member.Assignment = append(member.Assignment, partitionName{p.Stream, p.Number})
		}
		out.Members = append(out.Members, member)
	}
	for _, p := range g.Partitions {
		out.Partitions = append(out.Partitions, groupProgressInfo{
			Stream: p.Stream, Partition: p.Number, Committed: unlessNegative(p.Committed), End: p.End, Lag: unlessNegative(p.Lag), Member: optional(p.Member),
		})
	}
	return out
}

// unlessNegative gives nil for a number below 0, which stands for none.
func unlessNegative(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}

func newOffsets(places []stream.At) map[string]any {
	list := make([]offsetInfo, len(places))
	for i, p := range places {
		list[i] = offsetInfo{p.Stream, p.Number, p.Offset}
	}
	return map[string]any{"offsets": list}
}
