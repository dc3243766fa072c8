using Cnvm.Cli.Parsing;
using Cnvm.Linux;

namespace Cnvm.Cli.Commands;

/// <summary><c>cnvm __relay</c>: joins standard input and output with a Unix socket, at the far end of an ssh connection.</summary>
internal static class RelayCommand
{
    private const int BufferBytes = 256 << 10;
    private const int StackBytes = 128 << 10;

    public static int Run(Invocation invocation)
    {
        using UnixStream socket = UnixStream.Connect(invocation.Operands[0]);
        var toSocket = new Thread(
            () =>
            {
                Copy(Output.Stdio.Stdin, socket.Fd);
                socket.CloseWriting();
            },
            StackBytes)
        {
            IsBackground = true,
        };
        toSocket.Start();

        // Whoever serves the socket has the last word: what still comes from the other side is of no use then.
        Copy(socket.Fd, Output.Stdio.Stdout);
        return ExitCode.Success;
    }

    /// <summary>Until one of both has ended. Either may be one that does not block.</summary>
    private static void Copy(int from, int to)
    {
        byte[] buffer = new byte[BufferBytes];
        while (true)
        {
            int got = FileIo.Read(from, buffer);
            if (got == -Errno.EAGAIN)
            {
                Wait(from, PollEntry.In);
                continue;
            }

            if (got <= 0 || !TryWrite(to, buffer.AsSpan(0, got)))
            {
                return;
            }
        }
    }

    private static bool TryWrite(int to, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int written = FileIo.Write(to, bytes);
            if (written == -Errno.EAGAIN)
            {
                Wait(to, PollEntry.Out);
                continue;
            }

            if (written < 0)
            {
                return false;
            }

            bytes = bytes[written..];
        }

        return true;
    }

    private static void Wait(int fd, short what) => Poll.Wait([new PollEntry { Fd = fd, Events = what }], -1);
}
