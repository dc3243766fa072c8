using System.Text;
using Cnvm.Linux;

namespace Cnvm.Cli.Output;

/// <summary>Standard output and standard error, without System.Console and what it does to terminals.</summary>
internal static class Stdio
{
    public const int Stdin = 0;
    public const int Stdout = 1;
    public const int Stderr = 2;

    /// <summary>Writes lines to standard output.</summary>
    public static void Print(string text) => Write(Stdout, Encoding.UTF8.GetBytes(text.EndsWith('\n') ? text : text + "\n"));

    /// <summary>Writes bytes and a line's end to standard output.</summary>
    public static void Print(ReadOnlySpan<byte> text)
    {
        Write(Stdout, text);
        Write(Stdout, "\n"u8);
    }

    /// <summary>Writes lines to standard error.</summary>
    public static void Error(string text) => Write(Stderr, Encoding.UTF8.GetBytes(text.EndsWith('\n') ? text : text + "\n"));

    /// <summary>Writes everything, unless nobody reads any more.</summary>
    /// <exception cref="LinuxException">The file behind it is full or fails.</exception>
    public static void Write(int fd, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            int written = FileIo.Write(fd, bytes);
            if (written == -Errno.EPIPE)
            {
                return;
            }

            if (written == -Errno.EAGAIN)
            {
                Poll.Wait([new PollEntry { Fd = fd, Events = PollEntry.Out }], -1);
                continue;
            }

            bytes = written > 0 ? bytes[written..] : throw new LinuxException("write the output", -written);
        }
    }
}
