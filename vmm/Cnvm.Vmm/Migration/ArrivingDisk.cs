using System.Globalization;
using Cnvm.Linux;
using Cnvm.Virtio.Block;

namespace Cnvm.Vmm.Migration;

/// <summary>
/// A file that a disk arrives in. It has a name of its own beside its place until the guest is about to run here, and whatever was at its
/// place before is gone only when the guest does.
/// </summary>
internal sealed class ArrivingDisk : IArrivingDisk
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private readonly string _id;
    private readonly string _previousPath;
    private readonly DiskFile _file;
    private readonly ulong? _replaced;
    private bool _hasPrevious;
    private bool _isInPlace;
    private bool _isKept;

    /// <param name="name">Random, for the names of temporary files.</param>
    /// <exception cref="MigrationException">The file cannot be made.</exception>
    public ArrivingDisk(string id, string path, ulong size, string name)
    {
        _id = id;
        Path = path;
        Size = size;
        ArrivingPath = $"{path}.arriving-{name}";
        _previousPath = $"{path}.previous-{name}";
        _replaced = File.Exists(path) ? Host($"open {path}", () => InodeOf(path)) : null;
        Host($"make {ArrivingPath}", () =>
        {
            using var made = new FileStream(
                ArrivingPath, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = OwnerOnly });
            return true;
        });
        try
        {
            _file = Host($"open {ArrivingPath}", () => new DiskFile(ArrivingPath, readOnly: false, direct: false));
        }
        catch
        {
            File.Delete(ArrivingPath);
            throw;
        }

        try
        {
            Host($"give {ArrivingPath} {size} bytes", () =>
            {
                _file.SetSize(size);
                DirectoryFlush.Flush(Folder);
                return true;
            });
        }
        catch
        {
            Discard();
            throw;
        }
    }

    /// <summary>Where it belongs.</summary>
    public string Path { get; }

    /// <summary>Where it is until <see cref="PutInPlace"/>.</summary>
    public string ArrivingPath { get; }

    public ulong Size { get; }

    private string Folder => FolderOf(Path);

    /// <summary>The directory that a file lies in.</summary>
    public static string FolderOf(string path) => System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path)) ?? "/";

    public void Write(ulong offset, ReadOnlySpan<byte> data) => Check(_file.WriteAll(offset, data), "written", offset);

    public void Clear(ulong offset, ulong length)
    {
        int result = _file.Allocate(DiskFile.PunchHole, offset, length);
        Check(result == -Errno.EOPNOTSUPP ? ZeroWriter.Write(_file, offset, length) : result, "cleared", offset);
    }

    public void Flush() => Check(_file.DataSync(), "flushed", 0);

    /// <summary>
    /// The file takes its place; what is there moves aside, if it is what was there when the disk began to arrive, and nobody uses it.
    /// </summary>
    /// <exception cref="MigrationException">It cannot. <see cref="Discard"/> puts everything back.</exception>
    public void PutInPlace() => Host($"move {ArrivingPath} to {Path}", () =>
    {
        if (_replaced is { } inode && File.Exists(Path))
        {
            ThrowUnlessReplaceable(inode);
            File.Move(Path, _previousPath, overwrite: false);
            _hasPrevious = true;
        }

        File.Move(ArrivingPath, Path, overwrite: false);
        return _isInPlace = true;
    });

    /// <summary>The guest runs: the file stays, and what was at its place before goes.</summary>
    /// <exception cref="MigrationException">The host cannot; the disk is in its place all the same.</exception>
    public void Keep()
    {
        _isKept = true;
        _file.Dispose();
        Host($"clean up {Folder}", () =>
        {
            if (_hasPrevious)
            {
                File.Delete(_previousPath);
            }

            DirectoryFlush.Flush(Folder);
            return true;
        });
    }

    /// <summary>Unless it is kept, makes everything as it was before.</summary>
    /// <exception cref="MigrationException">The host cannot; the message names what is left.</exception>
    public void Discard()
    {
        if (_isKept)
        {
            return;
        }

        _isKept = true;
        _file.Dispose();
        string file = _isInPlace ? Path : ArrivingPath;
        Host($"take {file} away again", () =>
        {
            File.Delete(file);
            if (_hasPrevious)
            {
                File.Move(_previousPath, Path, overwrite: false);
            }

            return true;
        });
    }

    private static ulong InodeOf(string path)
    {
        using var there = new DiskFile(path, readOnly: true, direct: false);
        return there.Inode;
    }

    private void ThrowUnlessReplaceable(ulong inode)
    {
        using var there = new DiskFile(Path, readOnly: true, direct: false);
        if (there.Inode != inode || there.FindLockHolder() != 0)
        {
            throw new MigrationException($"disk {_id}: {Path} is another file by now, or somebody uses it, and is not replaced");
        }
    }

    private T Host<T>(string what, Func<T> action)
    {
        try
        {
            return action();
        }
        catch (Exception e) when (e is LinuxException or IOException or UnauthorizedAccessException or OverflowException)
        {
            throw new MigrationException($"disk {_id}: cannot {what}: {e.Message}", e);
        }
    }

    private void Check(int result, string what, ulong offset)
    {
        if (result < 0)
        {
            string where = string.Create(CultureInfo.InvariantCulture, $"disk {_id}: {ArrivingPath} cannot be {what} at byte {offset}");
            throw new MigrationException($"{where}: {new LinuxException("write", -result).Message}");
        }
    }
}
