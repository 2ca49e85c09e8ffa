package control

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/pkg/sftp"
)

// Upload writes a file whole or not at all: under another name in the same directory, which must exist, and renamed
// when complete. With Sudo it belongs to root. mode's permission bits are set exactly. A from that can seek is sent again if the connection breaks.
func (s *SSH) Upload(ctx context.Context, from io.Reader, to string, mode fs.FileMode) error {
	step := Cmd{Args: []string{"upload", to}, Stdin: from}
	err := s.retry(ctx, step, func() (bool, error) { return false, s.upload(ctx, step, to, mode) })
	if err != nil {
		return fmt.Errorf("%s: upload to %s: %w", s.cfg.Name, to, err)
	}
	return nil
}

func (s *SSH) upload(ctx context.Context, step Cmd, to string, mode fs.FileMode) error {
	nonce := make([]byte, 8)
	rand.Read(nonce)
	temp := path.Join(path.Dir(to), "."+path.Base(to)+".faultline-"+hex.EncodeToString(nonce))
	staged := temp
	if s.cfg.sudo() {
		staged = path.Join("/tmp", path.Base(temp))
	}
	err := s.withSFTP(ctx, step, func(client *sftp.Client) error {
		sent := mode.Perm()
		if s.cfg.sudo() {
			sent = 0o600
		}
		if err := send(client, step.Stdin, staged, sent); err != nil {
			return err
		}
		if s.cfg.sudo() {
			return nil
		}
		return rename(client, staged, to)
	})
	if err == nil && s.cfg.sudo() {
		err = s.install(ctx, staged, temp, to, mode)
	}
	if err != nil {
		s.discard(ctx, staged)
	}
	return err
}

// install moves an uploaded file to its place as root. It is copied beside its place first: a rename is
// atomic only within a file system.
func (s *SSH) install(ctx context.Context, staged, temp, to string, mode fs.FileMode) error {
	const script = `install -m "$1" -- "$2" "$3" && mv -f -T -- "$3" "$4" && rm -f -- "$2" || { rm -f -- "$3"; exit 1; }`
	_, err := s.Run(ctx, Cmd{
		Args:       []string{"sh", "-c", script, "sh", fmt.Sprintf("%04o", mode.Perm()), staged, temp, to},
		Idempotent: false,
	})
	return err
}

// discard removes a file that was not completed, as well as that can still be done.
func (s *SSH) discard(ctx context.Context, file string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortMax)
	defer cancel()
	_, _ = s.Run(ctx, Cmd{Args: []string{"rm", "-f", "--", file}, Idempotent: true})
}

func send(client *sftp.Client, from io.Reader, to string, mode fs.FileMode) error {
	file, err := client.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: make the directory %s first", err, path.Dir(to))
		}
		return err
	}
	// Before the content: it may be a secret.
	if err := file.Chmod(mode); err != nil {
		file.Close()
		return err
	}
	if _, err := file.ReadFromWithConcurrency(from, 0); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

// rename replaces the target. The protocol's own rename does not, so servers without OpenSSH's extension
// have the target removed before.
func rename(client *sftp.Client, from, to string) error {
	if _, ok := client.HasExtension("posix-rename@openssh.com"); ok {
		return client.PosixRename(from, to)
	}
	return errors.New("the SFTP server does not offer posix-rename@openssh.com, so the file can't be put in place atomically")
}

// Download reads a file into w; with Sudo, as root. It is read again after a broken connection only if nothing was written yet.
func (s *SSH) Download(ctx context.Context, from string, w io.Writer) error {
	var err error
	if s.cfg.sudo() {
		err = s.Stream(ctx, Cmd{Args: []string{"cat", "--", from}, Idempotent: true}, w)
	} else {
		counted := &countingWriter{to: w}
		step := Cmd{Args: []string{"download", from}}
		err = s.retry(ctx, step, func() (bool, error) {
			err := s.withSFTP(ctx, step, func(client *sftp.Client) error { return receive(client, from, counted) })
			return counted.bytes > 0, err
		})
	}
	if err != nil {
		return fmt.Errorf("%s: download %s: %w", s.cfg.Name, from, err)
	}
	return nil
}

func receive(client *sftp.Client, from string, w io.Writer) error {
	file, err := client.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteTo(w)
	return err
}

// withSFTP does some work over one SFTP session. A connection that breaks meanwhile is a *LostError.
func (s *SSH) withSFTP(ctx context.Context, step Cmd, work func(*sftp.Client) error) error {
	conn, session, err := s.pool.openSession(ctx)
	if err != nil {
		return s.notStarted(ctx, step, err)
	}
	defer s.pool.release(conn)
	defer session.Close()
	stop := context.AfterFunc(ctx, func() { session.Close() })
	defer stop()
	out, outErr := session.StdoutPipe()
	in, inErr := session.StdinPipe()
	if err := errors.Join(outErr, inErr); err != nil {
		return err
	}
	err = session.RequestSubsystem("sftp")
	if err == nil {
		var client *sftp.Client
		if client, err = sftp.NewClientPipe(out, in, sftp.UseConcurrentWrites(true)); err == nil {
			err = work(client)
			session.Close()
			client.Close()
		}
	} else if !conn.isDead() && ctx.Err() == nil {
		return fmt.Errorf("the server offers no SFTP (%w): enable \"Subsystem sftp\" in its sshd_config", err)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return whyEnded(ctx, ctx)
	case conn.isDead(), errors.Is(err, io.EOF), errors.Is(err, sftp.ErrSSHFxConnectionLost):
		return &LostError{Node: s.cfg.Name, Args: step.Args, Err: err}
	default:
		return err
	}
}
