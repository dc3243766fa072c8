using System.Buffers.Binary;
using System.Text;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Stage;

/// <summary>
/// How agent and stage talk: a pipe each way. The stage's messages are a letter, a length and bytes. That the stage has become the
/// container's program is said by the end of its pipe.
/// </summary>
internal static class StageChannel
{
    /// <summary>The stage's descriptors.</summary>
    public const int Orders = 3;
    public const int Reports = 4;

    /// <summary>Namespaces to enter follow: UTS and IPC of a container; mount, cgroup, UTS and IPC of a further process.</summary>
    public const int FirstNamespace = 5;

    /// <summary>The stage is ready to become the container's program, and waits.</summary>
    public const byte Ready = (byte)'R';

    /// <summary>The number of the descriptor at which the stage has its terminal's controlling side.</summary>
    public const byte Terminal = (byte)'T';

    /// <summary>Why it failed.</summary>
    public const byte Failure = (byte)'E';

    private const int HeaderBytes = 5;
    private const int MostBytes = 8 << 20;

    /// <summary>Writes everything.</summary>
    /// <exception cref="LinuxException">The other side is gone.</exception>
    public static void Write(int fd, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            int written = FileIo.Write(fd, bytes);
            bytes = written > 0 ? bytes[written..] : throw new LinuxException("write to the other side of a stage", -written);
        }
    }

    public static void WriteMessage(int fd, byte kind, ReadOnlySpan<byte> content)
    {
        byte[] message = new byte[HeaderBytes + content.Length];
        message[0] = kind;
        BinaryPrimitives.WriteInt32LittleEndian(message.AsSpan(1), content.Length);
        content.CopyTo(message.AsSpan(HeaderBytes));
        Write(fd, message);
    }

    /// <returns>Null when the other side has closed.</returns>
    /// <exception cref="IOException">It is no message, or the pipe fails.</exception>
    public static (byte Kind, byte[] Content)? ReadMessage(int fd)
    {
        byte[] header = new byte[HeaderBytes];
        int read = Fill(fd, header);
        if (read == 0)
        {
            return null;
        }

        int length = read == HeaderBytes ? BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(1)) : -1;
        if (length is < 0 or > MostBytes)
        {
            throw new InvalidDataException("a stage sent no message");
        }

        byte[] content = new byte[length];
        return Fill(fd, content) == length ? (header[0], content) : throw new InvalidDataException("a stage ended within a message");
    }

    public static string Text(byte[] content) => Encoding.UTF8.GetString(content);

    private static int Fill(int fd, Span<byte> buffer)
    {
        int done = 0;
        while (done < buffer.Length)
        {
            int read = FileIo.Read(fd, buffer[done..]);
            if (read < 0)
            {
                throw new LinuxException("read from the other side of a stage", -read);
            }

            if (read == 0)
            {
                break;
            }

            done += read;
        }

        return done;
    }
}
