package etcd

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
	"path/filepath"
	"strings"
	"time"
)

// archiveBytesMax and binaryBytesMax bound what is taken from a server; real ones are about 20 and 25 MB.
const (
	archiveBytesMax = 512 << 20
	binaryBytesMax  = 512 << 20
)

func dialer(timeout time.Duration) *net.Dialer { return &net.Dialer{Timeout: timeout} }

// fromRelease fetches the release archive, checks it against the published SHA-256 and keeps the binary in it.
func (i Installer) fromRelease(ctx context.Context, v version) (Binary, error) {
	folder := strings.TrimSuffix(i.Releases, "/") + "/v" + v.String()
	name := fmt.Sprintf("etcd-v%s-linux-%s.tar.gz", v, i.Arch)
	want, err := i.publishedSum(ctx, folder+"/SHA256SUMS", name)
	if err != nil {
		return Binary{}, err
	}
	scratch, err := i.cache().scratch()
	if err != nil {
		return Binary{}, err
	}
	defer os.RemoveAll(scratch)
	i.Progress("fetching " + folder + "/" + name)
	archive := filepath.Join(scratch, name)
	if err := i.fetch(ctx, folder+"/"+name, archive, want); err != nil {
		return Binary{}, err
	}
	path := filepath.Join(scratch, "etcd")
	if err := extract(archive, strings.TrimSuffix(name, ".tar.gz")+"/etcd", path); err != nil {
		return Binary{}, fmt.Errorf("%s: %w", name, err)
	}
	if err := i.verify(ctx, path, v); err != nil {
		return Binary{}, fmt.Errorf("%s: %w", name, err)
	}
	return i.cache().keep(v, path, SourceRelease, folder+"/"+name)
}

// get asks for a URL and returns the body of a 200; a 404 or 410 wraps errAbsent.
func (i Installer) get(ctx context.Context, url string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := i.HTTP.Do(req)
	if err != nil {
		return nil, err // names the URL
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return resp.Body, nil
	case http.StatusNotFound, http.StatusGone:
		err = fmt.Errorf("%s: %s: %w", url, resp.Status, errAbsent)
	default:
		err = fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil, errors.Join(err, resp.Body.Close())
}

// publishedSum is the SHA-256 of an archive as the project publishes it: lines of "sum  name".
func (i Installer) publishedSum(ctx context.Context, url, name string) (string, error) {
	body, err := i.get(ctx, url)
	if err != nil {
		return "", err
	}
	defer body.Close()
	lines := bufio.NewScanner(io.LimitReader(body, 1<<20))
	for lines.Scan() {
		sum, file, ok := strings.Cut(lines.Text(), " ")
		if ok && strings.TrimLeft(file, " *") == name && len(sum) == hex.EncodedLen(sha256.Size) {
			return strings.ToLower(sum), nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("%s: %w", url, err)
	}
	return "", fmt.Errorf("%s has no sum for %s: %w", url, name, errAbsent)
}

// fetch writes a URL's content to a file and checks its sum.
func (i Installer) fetch(ctx context.Context, url, to, want string) error {
	body, err := i.get(ctx, url)
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

// extract writes one member of a .tar.gz to a file.
func extract(archive, member, to string) error {
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
