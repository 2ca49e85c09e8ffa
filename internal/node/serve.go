package node

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// runServe is the embedded node's SSH server: public keys only, any user name, everything as root. It offers commands,
// shells, pseudo-terminals, signals, SFTP, and connections from the node (direct-tcpip). It ends with SIGTERM.
func runServe(ctx context.Context, c call) error {
	ready := openReadiness()
	err := serveSSH(ctx, c.args, ready)
	if err != nil {
		ready.tell(err)
	}
	return err
}

func serveSSH(ctx context.Context, args []string, ready *readiness) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	port := flags.Int("port", 22, "")
	hostKey := flags.String("host-key", "", "")
	authorized := flags.String("authorized-keys", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	config, err := sshConfig(*hostKey, *authorized)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, unix.SIGTERM, unix.SIGINT)
	defer stop()
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(*port)))
	if err != nil {
		return fmt.Errorf("listen for SSH: %w", err)
	}
	ready.tell(nil)
	return acceptAll(ctx, listener, config)
}

func sshConfig(hostKey, authorized string) (*ssh.ServerConfig, error) {
	pem, err := os.ReadFile(hostKey)
	if err != nil {
		return nil, fmt.Errorf("read the host key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		return nil, fmt.Errorf("parse the host key %s: %w", hostKey, err)
	}
	text, err := os.ReadFile(authorized)
	if err != nil {
		return nil, fmt.Errorf("read the authorized keys: %w", err)
	}
	var keys [][]byte
	for len(bytes.TrimSpace(text)) > 0 {
		key, _, _, rest, err := ssh.ParseAuthorizedKey(text)
		if err != nil {
			return nil, fmt.Errorf("parse the authorized keys %s: %w", authorized, err)
		}
		keys, text = append(keys, key.Marshal()), rest
	}
	return serverConfig(signer, keys), nil
}

// serverConfig lets in whoever has one of the keys.
func serverConfig(host ssh.Signer, keys [][]byte) *ssh.ServerConfig {
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			for _, k := range keys {
				if bytes.Equal(k, key.Marshal()) {
					return nil, nil
				}
			}
			return nil, errors.New("key not authorized")
		},
	}
	config.AddHostKey(host)
	return config
}

// acceptAll serves connections until ctx is done; then it closes all of them and returns when they have ended.
func acceptAll(ctx context.Context, listener net.Listener, config *ssh.ServerConfig) error {
	var open sync.WaitGroup
	defer open.Wait()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept SSH connections: %w", err)
		}
		open.Go(func() {
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			serveConn(ctx, conn, config)
		})
	}
}

// serveConn serves one client. What goes wrong with it is the client's to report.
func serveConn(ctx context.Context, conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	sc, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	defer sc.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go ssh.DiscardRequests(requests) // keep-alives: "no" is an answer too
	var open sync.WaitGroup
	for ch := range channels {
		switch ch.ChannelType() {
		case "session":
			open.Go(func() { serveSession(ctx, sc, ch) })
		case "direct-tcpip":
			open.Go(func() { serveDial(ctx, ch) })
		default:
			_ = ch.Reject(ssh.UnknownChannelType, "no "+ch.ChannelType()+" here")
		}
	}
	cancel()
	open.Wait()
}

// serveDial joins a channel to a TCP connection from the node; RFC 4254, section 7.2.
func serveDial(ctx context.Context, ch ssh.NewChannel) {
	var target struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(ch.ExtraData(), &target); err != nil {
		_ = ch.Reject(ssh.ConnectionFailed, "malformed request")
		return
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(target.Host, strconv.Itoa(int(target.Port))))
	if err != nil {
		_ = ch.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer conn.Close()
	channel, requests, err := ch.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	go ssh.DiscardRequests(requests)
	join(conn.(*net.TCPConn), channel)
}

// join copies both ways; an end in one direction leaves the other open.
func join(conn *net.TCPConn, channel ssh.Channel) {
	var both sync.WaitGroup
	both.Go(func() {
		_, err := io.Copy(conn, channel)
		if err != nil {
			conn.Close()
			return
		}
		_ = conn.CloseWrite()
	})
	both.Go(func() {
		_, err := io.Copy(channel, conn)
		if err != nil {
			channel.Close()
			return
		}
		_ = channel.CloseWrite()
	})
	both.Wait()
}
