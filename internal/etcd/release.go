package etcd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/faultline/faultline/internal/binaries"
)

// fromRelease fetches the release archive, checks it against the published SHA-256 and keeps the binary in it.
func (i installer) fromRelease(ctx context.Context, v binaries.Version) (Binary, error) {
	folder := strings.TrimSuffix(i.Releases, "/") + "/v" + v.String()
	name := fmt.Sprintf("etcd-v%s-linux-%s.tar.gz", v, i.Arch)
	want, err := i.Site().PublishedSum(ctx, folder+"/SHA256SUMS", name)
	if err != nil {
		return Binary{}, err
	}
	scratch, err := i.cache().Scratch()
	if err != nil {
		return Binary{}, err
	}
	defer os.RemoveAll(scratch)
	i.Progress("fetching " + folder + "/" + name)
	archive := filepath.Join(scratch, name)
	if err := i.Site().Fetch(ctx, folder+"/"+name, archive, want); err != nil {
		return Binary{}, err
	}
	path := filepath.Join(scratch, "etcd")
	if err := binaries.Extract(archive, strings.TrimSuffix(name, ".tar.gz")+"/etcd", path); err != nil {
		return Binary{}, fmt.Errorf("%s: %w", name, err)
	}
	if err := i.Verify(ctx, question, path, v); err != nil {
		return Binary{}, fmt.Errorf("%s: %w", name, err)
	}
	return i.cache().Keep(v, path, binaries.SourceRelease, folder+"/"+name)
}
