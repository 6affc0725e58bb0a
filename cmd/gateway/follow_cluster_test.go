//go:build cluster

package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/kafkatest"
)

// Readers see each record once, in order, while a broker stops answering, its
// partitions move to others, and it comes back.
func TestClusterReadersMissNothing(t *testing.T) {
	addresses := os.Getenv("SLUICE_TEST_KAFKA3")
	if addresses == "" {
		kafkatest.Missing(t, "three brokers: run `make test-cluster`")
	}
	t.Setenv(kafkatest.EnvServer, strings.Split(addresses, ",")[0])
	b := kafkatest.Kafka(t)
	b.DeleteLater(t, b.Prefix()+"wide.a", b.Prefix()+"_sluice.schemas")
	three := []string{"--kafka-servers", addresses, "--topic-prefix", b.Prefix()}
	f := &fleet{gateways: []*gateway{launch(t, three...), launch(t, three...)}}
	for _, g := range f.gateways {
		g.awaitReady(t)
	}
	f.gateways[0].register(t, "Order", order)
	f.gateways[0].put(t, "/streams/wide.a", `{"schema":"Order:1","partitions":6,"config":{"min.insync.replicas":"2"}}`).want(t, 201)
	p := &publishers{fleet: f}
	p.start(t.Context(), "wide.a", "wide.a")
	p.more(t, 50)
	readers := follow(t, f, "wide.*", 4)
	p.more(t, 50)
	for _, node := range []int{2, 3} {
		pause := signalNode(t, node, syscall.SIGSTOP)
		p.more(t, 100)
		pause()
		p.more(t, 50)
	}
	wantAll(t, readers, p.stop())
}

// signalNode stops a broker of the cluster; the function it gives lets it go on.
func signalNode(t *testing.T, node int, s syscall.Signal) (resume func()) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(os.Getenv("KAFKA_STATE"), fmt.Sprintf("node%d.pid", node)))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
	resume = func() { _ = syscall.Kill(pid, syscall.SIGCONT) } // twice does no harm
	t.Cleanup(resume)
	return resume
}
