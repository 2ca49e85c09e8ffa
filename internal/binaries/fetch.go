package binaries

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// archiveBytesMax and binaryBytesMax bound what is taken from a server; real ones are tens to hundreds of MB.
const (
	archiveBytesMax = 2048 << 20
	binaryBytesMax  = 512 << 20
)

// ErrAbsent is that a place was reached and has no such version.
var ErrAbsent = errors.New("not there")

// NewHTTP is a client that gives up on a server that does not answer within seconds.
func NewHTTP() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 20 * time.Second,
	}}
}

// Releases is where a project publishes what it released.
type Releases struct {
	HTTP *http.Client
}

// get asks for a URL and returns the body of a 200; a 404 or 410 wraps ErrAbsent.
func (r Releases) get(ctx context.Context, url string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := r.HTTP.Do(req)
	if err != nil {
		return nil, err // names the URL
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return resp.Body, nil
	case http.StatusNotFound, http.StatusGone:
		err = fmt.Errorf("%s: %s: %w", url, resp.Status, ErrAbsent)
	default:
		err = fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil, errors.Join(err, resp.Body.Close())
}

// PublishedSum is the SHA-256 of an archive as a project publishes it for all of a release: lines of "sum  name".
func (r Releases) PublishedSum(ctx context.Context, url, name string) (string, error) {
	return r.sum(ctx, url, func(line string) string {
		sum, file, _ := strings.Cut(line, " ")
		if strings.TrimLeft(file, " *") != name {
			return ""
		}
		return sum
	}, "has no sum for "+name)
}

// OwnSum is the SHA-256 of a file as a project publishes it beside that file: the sum alone, or with the file's name after it.
func (r Releases) OwnSum(ctx context.Context, url string) (string, error) {
	return r.sum(ctx, url, func(line string) string {
		sum, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		return sum
	}, "has no sum")
}

// sum is what pick takes of the first line of a text that it takes something of.
func (r Releases) sum(ctx context.Context, url string, pick func(line string) string, otherwise string) (string, error) {
	body, err := r.get(ctx, url)
	if err != nil {
		return "", err
	}
	defer body.Close()
	lines := bufio.NewScanner(io.LimitReader(body, 1<<20))
	for lines.Scan() {
		if sum := strings.ToLower(pick(lines.Text())); isSHA256(sum) {
			return sum, nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("%s: %w", url, err)
	}
	return "", fmt.Errorf("%s %s: %w", url, otherwise, ErrAbsent)
}

func isSHA256(text string) bool {
	b, err := hex.DecodeString(text)
	return err == nil && len(b) == sha256.Size
}

// Fetch writes a URL's content to a file and checks its sum.
func (r Releases) Fetch(ctx context.Context, url, to, want string) error {
	body, err := r.get(ctx, url)
	if err != nil {
		return err
	}
	defer body.Close()
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(body, archiveBytesMax+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s: broke off after %d bytes: %w", url, n, err)
	}
	if n > archiveBytesMax {
		return fmt.Errorf("%s is longer than %d bytes", url, int64(archiveBytesMax))
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != want {
		return fmt.Errorf("%s has SHA-256 %s, published is %s: it is damaged or not the project's; not used", url, sum, want)
	}
	return nil
}

// Extract writes one member of a .tar.gz to a file.
func Extract(archive, member, to string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("not a gzip file: %w", err)
	}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("no %s in it", member)
		}
		if err != nil {
			return fmt.Errorf("read the archive: %w", err)
		}
		if h.Name != member || h.Typeflag != tar.TypeReg {
			continue
		}
		out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
		if err != nil {
			return err
		}
		n, err := io.Copy(out, io.LimitReader(t, binaryBytesMax))
		if err := errors.Join(err, out.Close()); err != nil {
			return fmt.Errorf("unpack %s: %w", member, err)
		}
		if n != h.Size {
			return fmt.Errorf("unpack %s: %d of %d bytes", member, n, h.Size)
		}
		return nil
	}
}
