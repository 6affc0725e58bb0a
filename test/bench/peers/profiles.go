package peers

import "regexp"

// Named gives the profile of a name.
func Named(name string) (Profile, bool) {
	for _, p := range Profiles() {
		if p.Name == name {
			return p, true
		}
	}
	return Profile{}, false
}

// Profiles are all that are known, Sluice first.
func Profiles() []Profile {
	return []Profile{sluice(), kafkaSSE(), mercure(), strimzi(), restProxy("confluent"), restProxy("karapace"), eventGate(), kafkaPixy()}
}

func jsonBody() map[string]string { return map[string]string{"Content-Type": "application/json"} }

func sluice() Profile {
	return Profile{
		Name: "sluice", Product: "Sluice", Kafka: true,
		Validates: "each record against the JSON Schema of its stream",
		Single: &Publish{
			Call:   Call{Method: "POST", Path: "/streams/{topic}", Header: jsonBody(), Body: "{records}", Status: []int{201}},
			Record: "{data}", Stored: regexp.MustCompile(`"offset":\s*\d`),
		},
		Batch: &Publish{
			Call: Call{
				Method: "POST", Path: "/streams/{topic}", Header: map[string]string{"Content-Type": "application/x-ndjson"},
				Body: "{records}", Status: []int{201},
			},
			Record: `{"data":{data}}` + "\n", Stored: regexp.MustCompile(`"offset":\s*\d`),
		},
		Events: &Events{
			Call:     Call{Method: "GET", Path: "/streams/{topic}/events", Status: []int{200}},
			Earliest: "/streams/{topic}/events?from=earliest",
		},
		Pull: &Pull{
			Poll:    Call{Method: "GET", Path: "/streams/{topic}/records?from={position}&wait=500ms", Status: []int{200}},
			Records: "records",
			Start:   "earliest", Position: regexp.MustCompile(`"next":\s*"([^"]+)"`), Next: "$1",
		},
	}
}

func kafkaSSE() Profile {
	return Profile{
		Name: "kafka-sse", Product: "KafkaSSE 0.4 (Node, a Kafka consumer for each reader)", Kafka: true,
		Validates: "it does not publish",
		Events: &Events{
			Call: Call{Method: "GET", Path: "/{topic}", Status: []int{200}},
			// It begins at the end, unless the last event's id says otherwise.
			Earliest: "/{topic}", EarliestID: `[{"topic":"{topic}","partition":0,"offset":0}]`,
			Coordinates: "_kafka",
		},
	}
}

func mercure() Profile {
	return Profile{
		Name: "mercure", Product: "Mercure 1.0 (Go, a hub without Kafka)",
		Validates: "nothing",
		Single: &Publish{
			Call: Call{
				Method: "POST", Path: "/.well-known/mercure",
				Header: map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Bearer {token}"},
				Body:   "topic={topic}&data={records}", Status: []int{200},
			},
			Record: "{form}", Stored: regexp.MustCompile(`urn:uuid:`),
		},
		Events: &Events{
			Call: Call{
				Method: "GET", Path: "/.well-known/mercure?match={topic}", Header: map[string]string{"Authorization": "Bearer {token}"}, Status: []int{200},
			},
			Earliest: "/.well-known/mercure?match={topic}&last_event_id=earliest",
		},
	}
}

const kafkaJSON, kafkaV2 = "application/vnd.kafka.json.v2+json", "application/vnd.kafka.v2+json"

// v2 is what Strimzi's bridge and the REST Proxy have in common. They differ
// in whether the options of a consumer are texts.
func v2(consumer string) Profile {
	records := Call{
		Method: "POST", Path: "/topics/{topic}", Header: map[string]string{"Content-Type": kafkaJSON, "Accept": kafkaV2},
		Body: `{"records":[{records}]}`, Status: []int{200},
	}
	publish := &Publish{Call: records, Record: `{"value":{data}}`, Between: ",", Stored: regexp.MustCompile(`"offset":\s*\d`)}
	headers := map[string]string{"Content-Type": kafkaV2, "Accept": kafkaV2}
	instance := "/consumers/{group}/instances/{instance}"
	return Profile{
		Kafka: true, Validates: "nothing: there is no schema for plain JSON",
		Single: publish, Batch: publish,
		Pull: &Pull{
			Open: []Call{
				{Method: "POST", Path: "/consumers/{group}", Header: headers, Body: consumer, Status: []int{200}},
				{Method: "POST", Path: instance + "/subscription", Header: headers, Body: `{"topics":["{topic}"]}`, Status: []int{200, 204}},
			},
			Poll: Call{
				Method: "GET", Path: instance + "/records?timeout=1000&max_bytes={page}",
				Header: map[string]string{"Accept": kafkaJSON}, Status: []int{200},
			},
			Commit: &Call{Method: "POST", Path: instance + "/offsets", Header: headers, Status: []int{200, 204}},
			Gone:   []int{404},
		},
	}
}

func strimzi() Profile {
	p := v2(`{"name":"{instance}","format":"json","auto.offset.reset":"earliest","enable.auto.commit":false}`)
	p.Name, p.Product = "strimzi", "Strimzi Kafka Bridge (Java, a producer for each connection)"
	return p
}

// restProxy is the API of Confluent's REST Proxy, which Karapace speaks as well.
func restProxy(name string) Profile {
	p := v2(`{"name":"{instance}","format":"json","auto.offset.reset":"earliest","auto.commit.enable":"false"}`)
	p.Name, p.Product = name, "Confluent REST Proxy, v2 (Java)"
	if name == "karapace" {
		p.Product = "Karapace REST (Python), v2 of the REST Proxy"
	}
	return p
}

func eventGate() Profile {
	event := `{"$schema":"/bench/1.0.0","meta":{"stream":"{topic}"},"data":{data}}`
	call := Call{Method: "POST", Path: "/v1/events", Header: jsonBody(), Body: "{records}", Status: []int{201}}
	batch := call
	batch.Body = "[{records}]"
	return Profile{
		Name: "eventgate", Product: "EventGate (Node, librdkafka)", Kafka: true,
		Validates: "each event against the JSON Schema that it names",
		Single:    &Publish{Call: call, Record: event},
		Batch:     &Publish{Call: batch, Record: event, Between: ","},
	}
}

func kafkaPixy() Profile {
	return Profile{
		Name: "kafka-pixy", Product: "kafka-pixy (Go, sarama)", Kafka: true,
		Validates: "nothing",
		Single: &Publish{
			Call:   Call{Method: "POST", Path: "/topics/{topic}/messages?sync", Header: jsonBody(), Body: "{records}", Status: []int{200}},
			Record: "{data}", Stored: regexp.MustCompile(`"offset":\s*\d`),
		},
		Pull: &Pull{
			Poll:  Call{Method: "GET", Path: "/topics/{topic}/messages?group={group}&{position}", Status: []int{200}},
			Empty: []int{408},
			Start: "noAck", Position: regexp.MustCompile(`"partition":\s*(\d+),\s*"offset":\s*(\d+)`), Next: "ackPartition=$1&ackOffset=$2",
		},
	}
}
