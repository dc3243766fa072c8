using System.Text;
using Cnvm.Linux;

namespace Cnvm.GuestAgent;

/// <summary>
/// What the agent needs of the framework's class of that name, under the same names, as <see cref="Sequences"/> does for LINQ: streams with their
/// buffers, and encodings that no file here has, would be a thirtieth of the program. Failures are <see cref="LinuxException"/>s.
/// </summary>
internal static class File
{
    private const int MostBytes = 16 << 20;
    private const int FirstBytes = 4096;
    private const uint EverybodyReadsAndWrites = 0x1b6;

    public static bool Exists(string path) => System.IO.File.Exists(path);

    public static void SetUnixFileMode(string path, UnixFileMode mode) => System.IO.File.SetUnixFileMode(path, mode);

    /// <summary>A file's text (UTF-8).</summary>
    public static string ReadAllText(string path)
    {
        using FileDescriptor file = Open(path, Libc.O_RDONLY);
        byte[] bytes = new byte[FirstBytes];
        int count = 0;
        while (true)
        {
            // Files of the kernel have no size before they are read.
            int read = FileIo.Read(file.Value, bytes.AsSpan(count));
            if (read <= 0)
            {
                return read == 0 ? Encoding.UTF8.GetString(bytes, 0, count) : throw new LinuxException($"read {path}", -read);
            }

            count += read;
            if (count == bytes.Length)
            {
                Array.Resize(ref bytes, count < MostBytes ? count * 2 : throw new IOException($"{path} has more than {MostBytes} bytes"));
            }
        }
    }

    public static string[] ReadAllLines(string path)
    {
        string text = ReadAllText(path);
        return text.Length == 0 ? [] : (text.EndsWith('\n') ? text[..^1] : text).Split('\n');
    }

    /// <summary>Writes a text at once, as the kernel's own files want it, into a file that is made if it is not there.</summary>
    public static void WriteAllText(string path, string text)
    {
        using FileDescriptor file = Open(path, Libc.O_WRONLY | Libc.O_CREAT | Libc.O_TRUNC);
        for (ReadOnlySpan<byte> rest = Encoding.UTF8.GetBytes(text); rest.Length > 0;)
        {
            int written = FileIo.Write(file.Value, rest);
            rest = written > 0 ? rest[written..] : throw new LinuxException($"write '{text.Trim()}' to {path}", -written);
        }
    }

    /// <summary>Makes an empty file, or leaves the one that is there.</summary>
    public static void Make(string path) => Open(path, Libc.O_WRONLY | Libc.O_CREAT).Dispose();

    private static FileDescriptor Open(string path, int flags) =>
        new(LinuxError.Check(Libc.open(path, flags | Libc.O_CLOEXEC, EverybodyReadsAndWrites), $"open {path}"));
}
