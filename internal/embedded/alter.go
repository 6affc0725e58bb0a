package embedded

import (
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// configsOf gives the settings of a topic, and false where there is no such
// topic.
func configsOf(cluster *kfake.Cluster, topic string) (configs, bool) {
	info := cluster.TopicInfo(topic)
	if info == nil {
		return nil, false
	}
	c := make(configs, len(info.Configs))
	for name, value := range info.Configs {
		if value != nil {
			c[strings.TrimPrefix(name, hiddenPrefix)] = *value
		}
	}
	return c, true
}

// alterConfigs checks the older request, which replaces all settings of a
// topic.
func (r *rules) alterConfigs(request kmsg.Request) kmsg.Response {
	req := request.(*kmsg.AlterConfigsRequest)
	clear(r.compact)
	resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	refused := make(map[string]*refusal)
	broker := slices.ContainsFunc(req.Resources, func(res kmsg.AlterConfigsRequestResource) bool {
		return res.ResourceType == kmsg.ConfigResourceTypeBroker
	})
	for i := range req.Resources {
		res := &req.Resources[i]
		var why *refusal
		if res.ResourceType == kmsg.ConfigResourceTypeTopic {
			why = checkReplacement(res.Configs)
		}
		if broker {
			why = brokerIsFixed()
		}
		if why == nil || res.ResourceName == "" && !broker {
			continue
		}
		refused[res.ResourceName] = why
		rr := kmsg.NewAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = res.ResourceType, res.ResourceName
		rr.ErrorCode, rr.ErrorMessage = why.err.Code, &why.message
		resp.Resources = append(resp.Resources, rr)
	}
	if len(refused) > 0 && len(resp.Resources) == len(req.Resources) {
		return resp
	}
	r.refuseResources(req, refused)
	return nil
}

func checkReplacement(list []kmsg.AlterConfigsRequestResourceConfig) *refusal {
	after := make(configs, len(list))
	for i := range list {
		if why := checkConfig(list[i].Name, list[i].Value); why != nil {
			return why
		}
		after[list[i].Name] = *list[i].Value
		hide(&list[i].Name)
	}
	return after.check()
}

// incrementalAlterConfigs checks the request that changes single settings.
func (r *rules) incrementalAlterConfigs(request kmsg.Request) kmsg.Response {
	req := request.(*kmsg.IncrementalAlterConfigsRequest)
	clear(r.compact)
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	refused := make(map[string]*refusal)
	broker := slices.ContainsFunc(req.Resources, func(res kmsg.IncrementalAlterConfigsRequestResource) bool {
		return res.ResourceType == kmsg.ConfigResourceTypeBroker
	})
	for i := range req.Resources {
		res := &req.Resources[i]
		var why *refusal
		if res.ResourceType == kmsg.ConfigResourceTypeTopic {
			before, _ := configsOf(r.cluster, res.ResourceName)
			why = checkChanges(before, res.Configs)
		}
		if broker {
			why = brokerIsFixed()
		}
		if why == nil || res.ResourceName == "" && !broker {
			continue
		}
		refused[res.ResourceName] = why
		rr := kmsg.NewIncrementalAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = res.ResourceType, res.ResourceName
		rr.ErrorCode, rr.ErrorMessage = why.err.Code, &why.message
		resp.Resources = append(resp.Resources, rr)
	}
	if len(refused) > 0 && len(resp.Resources) == len(req.Resources) {
		return resp
	}
	r.refuseResources(req, refused)
	return nil
}

// brokerIsFixed keeps clients from switching kfake's own retention on again
// (see hiddenPrefix). A request with such a part is refused as a whole.
func brokerIsFixed() *refusal {
	return &refusal{kerr.InvalidConfig, "The embedded broker's own settings cannot be changed: set them on the topics"}
}

func (r *rules) refuseResources(req kmsg.Request, refused map[string]*refusal) {
	for name, why := range refused {
		r.refuse(req, kfake.Fault{Resource: name}, why)
	}
}

// checkChanges follows the changes one after the other. An APPEND or SUBTRACT
// becomes a SET of the result, because kfake forgets the default that it adds
// to or takes from.
func checkChanges(before configs, list []kmsg.IncrementalAlterConfigsRequestResourceConfig) *refusal {
	after := maps.Clone(before)
	if after == nil {
		after = make(configs)
	}
	for i := range list {
		c := &list[i]
		if c.Op == kmsg.IncrementalAlterConfigOpDelete {
			delete(after, c.Name)
			hide(&c.Name)
			continue
		}
		if why := checkConfig(c.Name, c.Value); why != nil {
			return why
		}
		if c.Op != kmsg.IncrementalAlterConfigOpSet {
			if why := resolveList(after, c); why != nil {
				return why
			}
		}
		after[c.Name] = *c.Value
		hide(&c.Name)
	}
	return after.check()
}

func resolveList(now configs, c *kmsg.IncrementalAlterConfigsRequestResourceConfig) *refusal {
	s := topicSettings()[c.Name]
	if s.kind != kmsg.ConfigTypeList {
		return &refusal{kerr.InvalidConfig, "Can't " + c.Op.String() + " to key " + c.Name + " because its type is not LIST."}
	}
	current, ok := now[c.Name]
	if !ok {
		current = s.def
	}
	items := strings.FieldsFunc(current, func(r rune) bool { return r == ',' || r == ' ' })
	for item := range strings.SplitSeq(*c.Value, ",") {
		item = strings.TrimSpace(item)
		items = slices.DeleteFunc(items, func(have string) bool { return have == item })
		if c.Op == kmsg.IncrementalAlterConfigOpAppend {
			items = append(items, item)
		}
	}
	result := strings.Join(items, ",")
	c.Op, c.Value = kmsg.IncrementalAlterConfigOpSet, &result
	return nil
}
