using System.Runtime.InteropServices;
using Cnvm.Cli.Output;
using Cnvm.Linux;

namespace Cnvm.Cli.Commands;

/// <summary>This terminal joined to a guest's console, until the key that detaches, or the console's end.</summary>
internal sealed class ConsoleSession : IDisposable
{
    private const int ChunkBytes = 4096;

    // What a terminal or socket that polls writable takes without blocking.
    private const int OutputBytes = 1024;

    // What a person may type, or paste, at a guest that reads nothing; the rest is lost.
    private const int PendingBytes = 64 << 10;
    private readonly UnixStream? _socket;
    private readonly FileDescriptor? _pty;
    private readonly byte? _escape;
    private readonly EventFd _resized = new();
    private readonly PosixSignalRegistration _windowChange;
    private readonly byte[] _pending = new byte[PendingBytes];
    private int _pendingCount;
    private bool _inputEnded;

    /// <param name="escape">The character that detaches; null for none.</param>
    /// <exception cref="LinuxException">The console cannot be opened.</exception>
    public ConsoleSession(string path, bool isSocket, byte? escape)
    {
        const int O_NOCTTY = 0x100;
        IsInteractive = Terminal.IsTerminal(Stdio.Stdin);
        _escape = IsInteractive ? escape : null;
        if (isSocket)
        {
            _socket = UnixStream.Connect(path);
        }
        else
        {
            _pty = new FileDescriptor(LinuxError.Check(Libc.open(path, Libc.O_RDWR | Libc.O_CLOEXEC | Libc.O_NONBLOCK | O_NOCTTY, 0), $"open {path}"));
        }

        _windowChange = PosixSignalRegistration.Create(PosixSignal.SIGWINCH, _ => _resized.Signal());
    }

    /// <summary>Somebody types at a terminal.</summary>
    public bool IsInteractive { get; }

    private int Fd => _socket?.Fd ?? _pty!.Value;

    /// <summary>Passes bytes on in both directions.</summary>
    /// <returns>True if the key was pressed; false if the console has ended.</returns>
    public bool Run()
    {
        using IDisposable? raw = IsInteractive ? Terminal.EnterRawMode(Stdio.Stdin) : null;
        ShowSize();
        byte[] buffer = new byte[ChunkBytes];
        var entries = new PollEntry[3];
        while (true)
        {
            // A person is always listened to, for the key that detaches; a file waits until the guest has taken what was read.
            bool listens = !_inputEnded && (IsInteractive || _pendingCount == 0);
            entries[0] = new PollEntry { Fd = listens ? Stdio.Stdin : -1, Events = PollEntry.In };
            entries[1] = new PollEntry { Fd = Fd, Events = _pendingCount > 0 ? (short)(PollEntry.In | PollEntry.Out) : PollEntry.In };
            entries[2] = new PollEntry { Fd = _resized.Fd, Events = PollEntry.In };
            Poll.Wait(entries, -1);
            if (entries[2].Returned != 0)
            {
                _resized.Drain();
                ShowSize();
            }

            if ((entries[1].Returned & PollEntry.Out) != 0 && !PassInputOn())
            {
                return false;
            }

            if ((entries[1].Returned & ~PollEntry.Out) != 0)
            {
                int count = FileIo.Read(Fd, buffer);
                if (count <= 0 && count != -Errno.EAGAIN)
                {
                    return false;
                }

                Stdio.Write(Stdio.Stdout, buffer.AsSpan(0, Math.Max(count, 0)));
            }

            if (entries[0].Returned != 0 && TakeInput(buffer))
            {
                // What was typed before the key, as far as the guest takes it.
                _ = _pendingCount == 0 || PassInputOn();
                return true;
            }
        }
    }

    public void Dispose()
    {
        _windowChange.Dispose();
        _resized.Dispose();
        _socket?.Dispose();
        _pty?.Dispose();
    }

    /// <summary>Passes on what was typed; returns whether the key that detaches was.</summary>
    private bool TakeInput(byte[] buffer)
    {
        int count = FileIo.Read(Stdio.Stdin, buffer);
        if (count <= 0)
        {
            // Nothing more to say; what the guest says still goes out.
            _inputEnded = true;
            return IsInteractive;
        }

        int end = _escape is { } escape ? buffer.AsSpan(0, count).IndexOf(escape) : -1;
        int taken = Math.Min(end < 0 ? count : end, PendingBytes - _pendingCount);
        buffer.AsSpan(0, taken).CopyTo(_pending.AsSpan(_pendingCount));
        _pendingCount += taken;
        return end >= 0;
    }

    /// <summary>Hands the console what it takes now; returns false if it takes nothing any more.</summary>
    private bool PassInputOn()
    {
        int written = FileIo.Write(Fd, _pending.AsSpan(0, Math.Min(_pendingCount, OutputBytes)));
        if (written == -Errno.EAGAIN)
        {
            return true;
        }

        if (written > 0)
        {
            _pending.AsSpan(written, _pendingCount - written).CopyTo(_pending);
            _pendingCount -= written;
        }

        return written > 0;
    }

    private void ShowSize()
    {
        if (_pty is not null && Terminal.TryGetSize(Stdio.Stdin, out ushort columns, out ushort rows))
        {
            Terminal.SetSize(Fd, columns, rows);
        }
    }
}
