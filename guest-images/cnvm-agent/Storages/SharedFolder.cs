using Cnvm.GuestAgent.Stage;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Storages;

/// <summary>Puts files of the host into the sandbox's own folder, and nowhere else.</summary>
internal sealed class SharedFolder(string folder)
{
    private const uint KindBits = 0xf000;
    private const uint ModeBits = 0xfff;
    private const long LargestFile = 1L << 40;
    private const int LongestTarget = 4096;

    /// <summary>Writes a part of a file, or makes a folder or a symbolic link. The file has its name once its last part is there.</summary>
    /// <param name="path">Absolute, below the folder.</param>
    /// <param name="size">Of the whole file in bytes.</param>
    /// <param name="fileMode">Kind and permissions.</param>
    /// <param name="directoryMode">Permissions of folders that are missing above it; 0 is the usual.</param>
    /// <exception cref="StageException">The path or the part lies outside.</exception>
    /// <exception cref="IOException">The sandbox is full, or refuses.</exception>
    public void Write(string path, long size, uint fileMode, uint directoryMode, uint user, uint group, long offset, ReadOnlySpan<byte> data)
    {
        if (!path.StartsWith(folder + "/", StringComparison.Ordinal) || path.Split('/').Any(p => p is ".."))
        {
            throw new StageException($"copy to '{path}': files go below {folder} only");
        }

        Directory.CreateDirectory(folder);
        using var root = new RootedDirectory(folder);
        string name = path[(folder.Length + 1)..];
        uint above = directoryMode == 0 ? 0x1ed : directoryMode & ModeBits;
        uint mode = fileMode & ModeBits;
        switch (fileMode & KindBits)
        {
            case FileCalls.S_IFDIR:
                root.OpenOrMakeDirectory(name, mode == 0 ? above : mode).Dispose();
                using (FileDescriptor made = root.Open(name, Libc.O_RDONLY | FileCalls.O_DIRECTORY))
                {
                    RootedDirectory.SetOwnerAndMode(made, user, group, mode == 0 ? above : mode);
                }

                return;
            case FileCalls.S_IFLNK:
                if (data.Length is 0 or > LongestTarget)
                {
                    throw new StageException($"copy to '{path}': a symbolic link has a target of 1 to {LongestTarget} bytes");
                }

                root.Remove(name);
                root.MakeLink(name, System.Text.Encoding.UTF8.GetString(data));
                return;
            case 0 or FileCalls.S_IFREG:
                WritePart(root, name, size, mode == 0 ? 0x1a4 : mode, above, user, group, offset, data);
                return;
            default:
                throw new StageException($"copy to '{path}': only files, folders and symbolic links are copied");
        }
    }

    private static void WritePart(
        RootedDirectory root, string name, long size, uint mode, uint above, uint user, uint group, long offset, ReadOnlySpan<byte> data)
    {
        if (size is < 0 or > LargestFile || offset < 0 || offset > size || data.Length > size - offset)
        {
            throw new StageException($"copy to '{name}': bytes {offset} to {offset + data.Length} are not within {size}");
        }

        int slash = name.LastIndexOf('/');
        string temporary = slash < 0 ? $".{name}.part" : $"{name[..slash]}/.{name[(slash + 1)..]}.part";
        if (slash > 0)
        {
            root.OpenOrMakeDirectory(name[..slash], above).Dispose();
        }

        int flags = Libc.O_WRONLY | Libc.O_CREAT | FileCalls.O_NOFOLLOW | (offset == 0 ? Libc.O_TRUNC : 0);
        using (FileDescriptor file = root.Open(temporary, flags, mode))
        {
            if (FileCalls.Seek(file.Value, offset, 0) < 0)
            {
                throw new StageException($"copy to '{name}': it cannot be positioned at {offset}");
            }

            for (ReadOnlySpan<byte> rest = data; rest.Length > 0;)
            {
                int written = FileIo.Write(file.Value, rest);
                rest = written > 0 ? rest[written..] : throw new LinuxException($"write {name}", -written);
            }

            if (offset + data.Length < size)
            {
                return;
            }

            RootedDirectory.SetOwnerAndMode(file, user, group, mode);
        }

        root.Rename(temporary, name);
    }
}
