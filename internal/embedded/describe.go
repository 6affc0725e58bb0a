package embedded

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// describeConfigs answers for topics, with every setting that Kafka knows and
// with retention.ms under its own name. A request that is about something else
// too is left to kfake. (The binding and the admin clients send those apart.)
func (r *rules) describeConfigs(request kmsg.Request) kmsg.Response {
	req := request.(*kmsg.DescribeConfigsRequest)
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	for _, res := range req.Resources {
		if res.ResourceType != kmsg.ConfigResourceTypeTopic {
			return nil
		}
		resp.Resources = append(resp.Resources, r.describe(res))
	}
	return resp
}

func (r *rules) describe(res kmsg.DescribeConfigsRequestResource) kmsg.DescribeConfigsResponseResource {
	out := kmsg.NewDescribeConfigsResponseResource()
	out.ResourceType, out.ResourceName = res.ResourceType, res.ResourceName
	set, ok := configsOf(r.cluster, res.ResourceName)
	if !ok {
		out.ErrorCode = kerr.UnknownTopicOrPartition.Code
		return out
	}
	known := topicSettings()
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if res.ConfigNames != nil && !slices.Contains(res.ConfigNames, name) {
			continue
		}
		c := kmsg.NewDescribeConfigsResponseResourceConfig()
		value, own := set[name]
		c.Source = kmsg.ConfigSourceDynamicTopicConfig
		if !own {
			value, c.Source, c.IsDefault = known[name].def, kmsg.ConfigSourceDefaultConfig, true
		}
		c.Name, c.Value, c.ConfigType = name, &value, known[name].kind
		out.Configs = append(out.Configs, c)
	}
	return out
}
