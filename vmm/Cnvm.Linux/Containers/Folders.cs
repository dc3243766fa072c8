using System.Runtime.InteropServices;
using System.Text;

namespace Cnvm.Linux;

/// <summary>Folders of the kernel's own file systems, for programs that the framework's way through trees would make larger.</summary>
public static unsafe partial class Folders
{
    private const int BufferBytes = 1 << 15;
    private const byte Folder = 4;

    // struct linux_dirent64 (getdents64(2)).
    private const int LengthOffset = 16;
    private const int KindOffset = 18;
    private const int NameOffset = 19;

    /// <summary>Names of the folders in a folder, in the kernel's order; links to folders are none.</summary>
    /// <exception cref="LinuxException">There is no such folder, or this process may not read it.</exception>
    public static IReadOnlyList<string> NamesIn(string path)
    {
        using var fd = new FileDescriptor(LinuxError.Check(Libc.open(path, Libc.O_RDONLY | FileCalls.O_DIRECTORY | Libc.O_CLOEXEC, 0), $"open {path}"));
        byte[] buffer = new byte[BufferBytes];
        var names = new List<string>();
        // SAFETY: the kernel fills the buffer, which is pinned, with whole records; each has its length, and a name that ends with null.
        fixed (byte* start = buffer)
        {
            while (true)
            {
                int filled = FileCalls.ReadDirectory(fd.Value, start, BufferBytes);
                if (filled <= 0)
                {
                    return filled == 0 ? names : throw new LinuxException($"read the folder {path}", -filled);
                }

                for (byte* record = start; record < start + filled; record += *(ushort*)(record + LengthOffset))
                {
                    string name = Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(record + NameOffset));
                    if (record[KindOffset] == Folder && name is not ("." or ".."))
                    {
                        names.Add(name);
                    }
                }
            }
        }
    }

    /// <summary>Removes an empty folder, or a control group without processes.</summary>
    /// <exception cref="LinuxException">It is not empty, or not there.</exception>
    public static void Remove(string path) => LinuxError.Check(rmdir(path), $"remove the folder {path}");

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int rmdir(string path);
}
