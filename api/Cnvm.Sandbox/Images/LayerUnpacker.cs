using System.Globalization;
using Cnvm.Linux;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Sandbox.Images;

/// <summary>
/// Applies layers to a root file system (OCI image specification, "Image Layer Filesystem Changeset"). Owners, devices and file
/// capabilities are kept as root; without, everything belongs to this user, who can read it all, and devices are left out.
/// </summary>
/// <param name="tree">The root file system; stays the caller's.</param>
/// <param name="limitBytes">Most bytes of all files together.</param>
internal sealed class LayerUnpacker(DirectoryTree tree, long limitBytes)
{
    private const string Whiteout = ".wh.";
    private const string OpaqueWhiteout = ".wh..wh..opq";
    private const int MaxEntries = 4_000_000;
    private const uint OwnerReads = 0x100;
    private const uint OwnerAll = 0x1c0;
    private static readonly bool IsRoot = PrivateDirectory.UserId == 0;
    private readonly byte[] _buffer = new byte[128 << 10];

    // Directories get their modes and times last: one that is read-only could not be filled, and filling it changes its time.
    private readonly Dictionary<string, TarEntry> _directories = [];
    private long _bytes;
    private int _entries;

    /// <summary>Applies the next layer.</summary>
    /// <param name="layer">A tar archive, unpacked; stays the caller's.</param>
    /// <exception cref="ImageException">It is damaged, or has names that lead out of the root.</exception>
    /// <exception cref="LinuxException">The host refuses; its disk is full, perhaps.</exception>
    public void Apply(Stream layer)
    {
        var written = new HashSet<string>(StringComparer.Ordinal);
        var reader = new TarReader(layer);
        while (reader.Next() is { } entry)
        {
            if (++_entries > MaxEntries)
            {
                throw new ImageException(string.Create(CultureInfo.InvariantCulture, $"the image has more than {MaxEntries} files"));
            }

            string name = Normal(entry.Name);
            int slash = name.LastIndexOf('/');
            string last = name[(slash + 1)..];
            string folder = slash < 0 ? "" : name[..slash];
            if (last == OpaqueWhiteout)
            {
                tree.RemoveBelow(folder, written.Contains);
            }
            else if (last.StartsWith(Whiteout, StringComparison.Ordinal))
            {
                Hide(folder, last[Whiteout.Length..], written);
            }
            else
            {
                Write(reader, entry, name);
                Remember(name, written);
            }
        }
    }

    /// <summary>Gives directories what waits until the end.</summary>
    public void Finish()
    {
        foreach ((string name, TarEntry entry) in _directories)
        {
            try
            {
                tree.SetAttributes(name, Owner(entry), IsRoot ? entry.Mode : entry.Mode | OwnerAll, entry.Modified);
            }
            catch (LinuxException e) when (e.Errno == Errno.ENOENT)
            {
                // A later layer has taken it away again.
                continue;
            }
        }
    }

    private static (uint User, uint Group)? Owner(TarEntry entry) => IsRoot ? (entry.User, entry.Group) : null;

    private void Hide(string folder, string hidden, HashSet<string> written)
    {
        if (hidden.Length == 0 || hidden is "." or "..")
        {
            throw new ImageException($"the layer hides '{hidden}' in '{folder}', which is no name");
        }

        string name = folder.Length == 0 ? hidden : $"{folder}/{hidden}";
        if (!written.Contains(name))
        {
            tree.Remove(name);
        }
    }

    /// <summary>What a layer has written, its own whiteouts do not concern; nor the folders on the way there.</summary>
    private static void Remember(string name, HashSet<string> written)
    {
        while (name.Length > 0 && written.Add(name))
        {
            int slash = name.LastIndexOf('/');
            name = slash < 0 ? "" : name[..slash];
        }
    }

    private void Write(TarReader reader, TarEntry entry, string name)
    {
        if (name.Length == 0 && entry.Type != TarEntry.Directory)
        {
            throw new ImageException("the layer has a file in place of the root directory");
        }

        if (entry.Type != TarEntry.Directory)
        {
            _directories.Remove(name);
        }

        switch (entry.Type)
        {
            case TarEntry.Directory:
                tree.MakeDirectory(name);
                _directories[name] = entry;
                SetExtendedAttributes(name, entry);
                return;
            case TarEntry.File:
                WriteFile(reader, entry, name);
                break;
            case TarEntry.SymbolicLink:
                tree.MakeSymbolicLink(name, entry.LinkName);
                break;
            case TarEntry.HardLink:
                LinkTo(entry, name);
                return;
            case TarEntry.Fifo:
            case TarEntry.CharacterDevice:
            case TarEntry.BlockDevice:
                if (!MakeNode(entry, name))
                {
                    return;
                }

                break;
            default:
                throw new ImageException($"'{name}' in the layer is of type '{entry.Type}', which is not known here");
        }

        tree.SetAttributes(name, Owner(entry), IsRoot ? entry.Mode : entry.Mode | OwnerReads, entry.Modified);
        if (entry.Type == TarEntry.File)
        {
            SetExtendedAttributes(name, entry);
        }
    }

    private void LinkTo(TarEntry entry, string name)
    {
        try
        {
            tree.MakeHardLink(name, Normal(entry.LinkName));
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOENT or Errno.EPERM)
        {
            throw new ImageException($"'{name}' in the layer is a link to '{entry.LinkName}', which is not there, or no file", e);
        }
    }

    private bool MakeNode(TarEntry entry, string name)
    {
        uint type = entry.Type switch
        {
            TarEntry.Fifo => FileCalls.S_IFIFO,
            TarEntry.CharacterDevice => FileCalls.S_IFCHR,
            _ => FileCalls.S_IFBLK,
        };
        return tree.TryMakeNode(name, type, entry.DeviceMajor, entry.DeviceMinor);
    }

    private void WriteFile(TarReader reader, TarEntry entry, string name)
    {
        // The header says how much is to come: too much is refused before it fills the disk.
        if (entry.Size > limitBytes - _bytes)
        {
            throw new ImageException(string.Create(
                CultureInfo.InvariantCulture, $"the image's files have more than {limitBytes} bytes together, at '{name}'; a larger limit lets them"));
        }

        _bytes += entry.Size;
        using SafeFileHandle file = tree.MakeFile(name);
        long at = 0;
        int count;
        while ((count = reader.Read(_buffer)) > 0)
        {
            RandomAccess.Write(file, _buffer.AsSpan(0, count), at);
            at += count;
        }
    }

    /// <summary>File capabilities, and what is the user's own. Others mean something to this host: labels, overlay's marks.</summary>
    private void SetExtendedAttributes(string name, TarEntry entry)
    {
        foreach ((string attribute, byte[] value) in entry.Attributes)
        {
            if (attribute == "security.capability" || attribute.StartsWith("user.", StringComparison.Ordinal))
            {
                // Not every file system has them, and not everybody may set them: the file is there all the same.
                _ = tree.TrySetExtendedAttribute(name, attribute, value);
            }
        }
    }

    private static string Normal(string name)
    {
        string[] parts = name.Split('/', StringSplitOptions.RemoveEmptyEntries);
        return Array.IndexOf(parts, "..") < 0
            ? string.Join('/', Array.FindAll(parts, p => p != "."))
            : throw new ImageException($"'{name}' in the layer leads out of the image");
    }
}
