package peers_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// strimzi is Strimzi's bridge: options of a consumer have their types.
func (l *log) strimzi(w http.ResponseWriter, r *http.Request, body string) error {
	return l.v2(w, r, body, `"enable.auto.commit":false`, `{"error_code":404,"message":"This server does not host this topic-partition."}`)
}

// restProxy is the REST Proxy: they are texts, and each result has an
// error_code.
func (l *log) restProxy(w http.ResponseWriter, r *http.Request, body string) error {
	return l.v2(w, r, body, `"auto.commit.enable":"false"`, `{"partition":null,"offset":null,"error_code":50003,"error":"timed out"}`)
}

// v2 is what both have in common. Refused is a refused record in the answer to
// a publish, whose status is 200 all the same.
func (l *log) v2(w http.ResponseWriter, r *http.Request, body, option, refused string) error {
	const kafkaJSON, kafkaV2 = "application/vnd.kafka.json.v2+json", "application/vnd.kafka.v2+json"
	content, path := r.Header.Get("Content-Type"), r.URL.Path
	switch path {
	case "/topics/orders":
		if err := want(r.Method, "POST", content, kafkaJSON); err != nil {
			return err
		}
		return l.produceV2(w, body, refused)
	case "/consumers/readers":
		if err := want(r.Method, "POST", content, kafkaV2); err != nil {
			return err
		}
		var c struct{ Name, Format string }
		if err := json.Unmarshal([]byte(body), &c); err != nil || !strings.Contains(body, option) || c.Format != "json" {
			return fmt.Errorf("consumer: %s", body)
		}
		if l.instances == nil {
			l.instances = map[string]int{}
		}
		if _, there := l.instances[c.Name]; there {
			http.Error(w, `{"error_code":409}`, http.StatusConflict)
			return nil
		}
		l.instances[c.Name] = l.committed
		fmt.Fprintf(w, `{"instance_id":%q,"base_uri":"http://elsewhere/consumers/readers/instances/%s"}`, c.Name, c.Name)
		return nil
	}
	instance, what, _ := strings.Cut(strings.TrimPrefix(path, "/consumers/readers/instances/"), "/")
	position, there := l.instances[instance]
	if !there {
		http.Error(w, `{"error_code":404,"message":"The specified consumer instance was not found."}`, http.StatusNotFound)
		return nil
	}
	switch r.Method + " " + what {
	case "POST subscription":
		w.WriteHeader(http.StatusNoContent)
		return want(content, kafkaV2, body, `{"topics":["orders"]}`)
	case "POST offsets":
		l.committed = position
		w.WriteHeader(http.StatusNoContent)
		return want(content, kafkaV2)
	case "GET records":
		return l.recordsV2(w, r, instance)
	}
	return fmt.Errorf("%s %s", r.Method, r.URL)
}

func (l *log) produceV2(w http.ResponseWriter, body, refused string) error {
	var got struct {
		Records []struct{ Value json.RawMessage }
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		return err
	}
	var offsets []string
	for i, r := range got.Records {
		if l.refuse && i == len(got.Records)-1 {
			offsets = append(offsets, refused)
			continue
		}
		n, err := l.append(string(r.Value))
		if err != nil {
			return err
		}
		text := fmt.Sprintf(`{"partition":0,"offset":%d}`, n)
		if strings.Contains(refused, "null") { // the REST Proxy tells of errors that are none
			text = fmt.Sprintf(`{"partition":0,"offset":%d,"error_code":null,"error":null}`, n)
		}
		offsets = append(offsets, text)
	}
	fmt.Fprintf(w, `{"offsets":[%s]}`, strings.Join(offsets, ","))
	return nil
}

// recordsV2 answers with up to three records, and forgets the instance, as a
// restart does, instead of every so many answers.
func (l *log) recordsV2(w http.ResponseWriter, r *http.Request, instance string) error {
	if err := want(r.Header.Get("Accept"), "application/vnd.kafka.json.v2+json", r.URL.Query().Get("max_bytes"), "1000"); err != nil {
		return err
	}
	if l.answers++; l.breaks > 0 && l.answers%l.breaks == 0 {
		l.instances = map[string]int{}
		http.Error(w, `{"error_code":404}`, http.StatusNotFound)
		return nil
	}
	from := l.instances[instance]
	to := min(from+3, len(l.values))
	records := []string{}
	for n := from; n < to; n++ {
		records = append(records, fmt.Sprintf(`{"topic":"orders","key":null,"value":%s,"partition":0,"offset":%d}`, l.values[n], n))
	}
	l.instances[instance] = to
	fmt.Fprintf(w, "[%s]", strings.Join(records, ","))
	return nil
}
