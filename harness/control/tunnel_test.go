package control_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

func TestDialFromTheNode(t *testing.T) {
	host := connect(t, startSSHD(t, "").config())
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	defer web.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
		return host.Dial(ctx, addr)
	}}}
	defer client.CloseIdleConnections()
	large := strings.Repeat("etcd", 1<<18)
	answer, err := client.Post(web.URL, "text/plain", strings.NewReader(large))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	back, err := io.ReadAll(answer.Body)
	if err != nil || string(back) != large {
		t.Errorf("%d bytes came back of %d, %v", len(back), len(large), err)
	}

	port := freePort(t)
	addr := (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}).String()
	_, err = host.Dial(t.Context(), addr)
	if err == nil || !strings.Contains(err.Error(), "n1: dial "+addr+" from the node: ") || !strings.Contains(err.Error(), "Connection refused") {
		t.Errorf("a closed port: %v", err)
	}
}

func TestTunnelHalfClosesAndHonoursDeadlines(t *testing.T) {
	host := connect(t, startSSHD(t, "").config())
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listen.Close()
	dial := func() (near, far net.Conn) {
		near, err := host.Dial(t.Context(), listen.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if far, err = listen.Accept(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { near.Close(); far.Close() })
		return near, far
	}

	near, far := dial()
	if err := near.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read past its deadline: %v", err)
	}
	if err := near.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	question := bytes.Repeat([]byte("q"), 1<<20)
	go func() {
		_, _ = near.Write(question)
		_ = near.(interface{ CloseWrite() error }).CloseWrite()
	}()
	if got, err := io.ReadAll(far); err != nil || !bytes.Equal(got, question) {
		t.Errorf("%d bytes arrived, %v", len(got), err)
	}
	if _, err := far.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	far.Close()
	if got, err := io.ReadAll(near); err != nil || string(got) != "answer" {
		t.Errorf("%q, %v", got, err)
	}

	// What was written before Close arrives, and the other side sees the end.
	near, far = dial()
	go func() {
		_, _ = near.Write(question)
		near.Close()
	}()
	if got, err := io.ReadAll(far); err != nil || !bytes.Equal(got, question) {
		t.Errorf("after Close %d bytes arrived, %v", len(got), err)
	}
}

func TestDialAfterTheConnectionBroke(t *testing.T) {
	s := startSSHD(t, "")
	host := connect(t, s.config())
	s.stop()
	s.start()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listen.Close()
	conn, err := host.Dial(t.Context(), listen.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}
