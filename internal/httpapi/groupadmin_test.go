package httpapi_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

// fakeGroupAdmin answers as a test says, and keeps what it was asked for.
type fakeGroupAdmin struct {
	list   []stream.Group
	report stream.GroupReport
	places []stream.At
	err    error

	asked []any
}

func (f *fakeGroupAdmin) List(_ context.Context, p stream.Pattern) ([]stream.Group, error) {
	f.asked = append(f.asked, p.String())
	return f.list, f.err
}

func (f *fakeGroupAdmin) Describe(_ context.Context, id string) (stream.GroupReport, error) {
	f.asked = append(f.asked, id)
	if f.report.ID == "" && f.err == nil {
		return f.report, errUnexpected
	}
	return f.report, f.err
}

func (f *fakeGroupAdmin) Move(_ context.Context, id string, m stream.GroupMove) ([]stream.At, error) {
	f.asked = append(f.asked, id, m)
	return f.places, f.err
}

func (f *fakeGroupAdmin) Forget(_ context.Context, id string, p stream.Pattern) ([]stream.At, error) {
	f.asked = append(f.asked, id, p.String())
	return f.places, f.err
}

func (f *fakeGroupAdmin) Delete(_ context.Context, id string) error {
	f.asked = append(f.asked, id)
	return f.err
}

func TestGroupsAreShown(t *testing.T) {
	g := newGateway(t, nil)
	g.admin.list = []stream.Group{{ID: "a", State: "empty", Protocol: stream.GroupClassic}, {ID: "b", State: "stable", Protocol: stream.GroupConsumer, Members: make([]stream.GroupMember, 2)}}
	want := `{"groups":[{"id":"a","state":"empty","protocol":"classic","members":0},{"id":"b","state":"stable","protocol":"consumer","members":2}]}`
	if res := g.do(t, "GET /groups", ""); strings.TrimSpace(res.body) != want {
		t.Errorf("got %s", res.body)
	}
	g.admin.list = nil
	if res := g.do(t, "GET /groups?pattern=a*", ""); strings.TrimSpace(res.body) != `{"groups":[]}` {
		t.Errorf("got %s", res.body)
	}
	at := stream.Partition{Stream: "s", Number: 1}
	g.admin.report = stream.GroupReport{
		Group: stream.Group{ID: "b", State: "stable", Protocol: stream.GroupConsumer, Assignor: "uniform", Coordinator: 3, Members: []stream.GroupMember{
			{ID: "m", ClientID: "c", Host: "h", Assignment: []stream.Partition{at}, Others: 2}, {ID: "n", InstanceID: "i"},
		}},
		Partitions: []stream.GroupProgress{{Partition: at, Committed: 4, End: 9, Lag: 5, Member: "m"}, {Partition: stream.Partition{Stream: "t"}, Committed: -1, End: 7, Lag: -1}}, Lag: 5,
	}
	want = `{"id":"b","state":"stable","protocol":"consumer","assignor":"uniform","coordinator":3,"members":[` +
		`{"id":"m","instance_id":null,"client_id":"c","host":"h","assignment":[{"stream":"s","partition":1}],"other_partitions":2},` +
		`{"id":"n","instance_id":"i","client_id":"","host":"","assignment":[],"other_partitions":0}],"lag":5,"partitions":[` +
		`{"stream":"s","partition":1,"committed":4,"end":9,"lag":5,"member":"m"},{"stream":"t","partition":0,"committed":null,"end":7,"lag":null,"member":null}]}`
	if res := g.do(t, "GET /groups/b%2Fc", ""); strings.TrimSpace(res.body) != want {
		t.Errorf("got %s", res.body)
	}
	if d := cmp.Diff([]any{"*", "a*", "b/c"}, g.admin.asked); d != "" {
		t.Errorf("asked (-want +got):\n%s", d)
	}
}

func TestGroupsAreMoved(t *testing.T) {
	g := newGateway(t, nil)
	g.admin.places = []stream.At{{Partition: stream.Partition{Stream: "s"}, Offset: 7}}
	orders := patternOf(t, "orders.*")
	start := func(k stream.StartKind) *stream.Start { return &stream.Start{Kind: k} }
	for request, want := range map[[2]string]stream.GroupMove{
		{"", `{"from":"earliest"}`}:                                                              {Start: start(stream.FromEarliest)},
		{"?validate_only=true", `{"from":"latest","streams":"orders.*"}`}:                        {Start: start(stream.FromLatest), Streams: &orders, Try: true},
		{"?validate_only=false", `{"from":"2026-01-31T12:00:00Z"}`}:                              {Start: &stream.Start{Kind: stream.FromTime, Time: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)}},
		{"", `{"offsets":[{"stream":"s","partition":1,"offset":0}],"from":null,"streams":null}`}: {Offsets: []stream.At{{Partition: stream.Partition{Stream: "s", Number: 1}}}},
	} {
		g.admin.asked = nil
		res := g.do(t, "POST /groups/g/position"+request[0], request[1], "Content-Type: application/json")
		if strings.TrimSpace(res.body) != `{"offsets":[{"stream":"s","partition":0,"offset":7}]}` {
			t.Errorf("%v: %d %s", request, res.StatusCode, res.body)
		}
		same := cmp.Comparer(func(a, b stream.Pattern) bool { return a.Key() == b.Key() })
		if d := cmp.Diff([]any{"g", want}, g.admin.asked, same, cmp.AllowUnexported(stream.Position{})); d != "" {
			t.Errorf("%v (-want +got):\n%s", request, d)
		}
	}
}

func TestGroupMovesThatCannotBeRead(t *testing.T) {
	g := newGateway(t, nil)
	for body, pointer := range map[string]string{
		`{}`: "", `{"from":"latest","offsets":[]}`: "", `{"from":"soon"}`: "from", `{"from":"17"}`: "from", `{"from":"p1.x"}`: "from",
		`{"from":"latest","streams":""}`: "streams", `{"offsets":[],"streams":"s"}`: "streams", `{"offsets":[]}`: "offsets",
		`{"offsets":[{"stream":"s","partition":0,"offset":1},{"partition":-1}]}`: "#/offsets/1/offset",
		`{"offsets":[{"stream":"s","partition":0,"offset":1.5}]}`:                "/offsets/0/offset",
		`{"offsets":[{"stream":"s","partition":4294967296,"offset":1}]}`:         "/offsets/0/partition",
		`{"to":"latest"}`: "to",
	} {
		p := g.do(t, "POST /groups/g/position", body, "Content-Type: application/json").wantProblem(t, stream.InvalidRequest, 400)
		if !strings.Contains(p.Detail, pointer) {
			t.Errorf("%s: %s", body, p.Detail)
		}
	}
	g.do(t, "POST /groups/g/position?validate_only=1", `{"from":"latest"}`, "Content-Type: application/json").wantProblem(t, stream.InvalidRequest, 400)
	g.do(t, "POST /groups/g/position?validate_only=", `{"from":"latest"}`, "Content-Type: application/json").wantProblem(t, stream.InvalidRequest, 400)
	g.do(t, "DELETE /groups/g/offsets", "").wantProblem(t, stream.InvalidRequest, 400)
	g.do(t, "DELETE /groups/g/offsets?streams=", "").wantProblem(t, stream.InvalidRequest, 400)
	g.do(t, "DELETE /groups/"+strings.Repeat("g", 250), "").wantProblem(t, stream.InvalidRequest, 400)
	g.do(t, "GET /groups?pattern=", "").wantProblem(t, stream.InvalidRequest, 400)
	if len(g.admin.asked) > 0 {
		t.Errorf("asked %v", g.admin.asked)
	}
}

// Who may read the streams may not read them in any group.
func TestGroupsOfReadersAreNamedByRules(t *testing.T) {
	g := authenticated(t)
	g.groups.join = func(context.Context, stream.Membership, stream.Frames) (httpapi.Follower, error) {
		return nil, stream.Errorf(stream.Overloaded, "enough")
	}
	g.do(t, "GET /streams/mine/events?group=theirs", "", "Authorization: Bearer subscriber").wantProblem(t, stream.Forbidden, 403)
	if res := g.do(t, "GET /streams/mine/events?group=mine", "", "Authorization: Bearer subscriber"); res.StatusCode == 403 {
		t.Error(res.body)
	}
}

func TestGroupsAreForgotten(t *testing.T) {
	g := newGateway(t, nil)
	g.admin.places = []stream.At{{Partition: stream.Partition{Stream: "s", Number: 2}, Offset: 7}}
	if res := g.do(t, "DELETE /groups/g/offsets?streams=s*", ""); strings.TrimSpace(res.body) != `{"offsets":[{"stream":"s","partition":2,"offset":7}]}` {
		t.Errorf("got %s", res.body)
	}
	if res := g.do(t, "DELETE /groups/h", ""); res.StatusCode != 204 {
		t.Errorf("got %d", res.StatusCode)
	}
	if d := cmp.Diff([]any{"g", "s*", "h"}, g.admin.asked); d != "" {
		t.Errorf("asked (-want +got):\n%s", d)
	}
	for code, status := range map[stream.Code]int{stream.UnknownGroup: 404, stream.GroupActive: 409, stream.GroupInUse: 409} {
		g.admin.err = stream.Errorf(code, "no")
		g.do(t, "DELETE /groups/h", "").wantProblem(t, code, status)
		g.do(t, "DELETE /groups/h/offsets?streams=s", "").wantProblem(t, code, status)
		g.do(t, "POST /groups/h/position", `{"from":"latest"}`, "Content-Type: application/json").wantProblem(t, code, status)
	}
	g.admin.err = stream.Errorf(stream.UnknownGroup, "no")
	g.do(t, "GET /groups/h", "").wantProblem(t, stream.UnknownGroup, 404)
}
