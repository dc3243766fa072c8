using System.Globalization;

namespace Cnvm.Sandbox.Images;

/// <summary>An image in a tar archive, which stays packed: what is needed is read from its place.</summary>
internal sealed class ArchiveFiles : ImageFiles
{
    private const int MaxMembers = 100_000;
    private const int MaxLinks = 8;
    private readonly Dictionary<string, TarEntry> _members = [];
    private readonly FileStream _file;

    /// <exception cref="ImageException">It is no archive.</exception>
    public ArchiveFiles(string path)
    {
        Path = path;
        _file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 64 << 10);
        try
        {
            ReadMembers();
        }
        catch
        {
            _file.Dispose();
            throw;
        }
    }

    public override string Path { get; }

    public bool Has(string name) => _members.ContainsKey(name);

    public override Stream? TryOpen(string name, out long length)
    {
        length = 0;
        TarEntry? member = Find(name);
        if (member is null)
        {
            return null;
        }

        var file = new FileStream(Path, FileMode.Open, FileAccess.Read, FileShare.Read);
        file.Position = member.Offset;
        length = member.Size;
        return new BoundedStream(file, member.Size, null);
    }

    public override void Dispose() => _file.Dispose();

    private void ReadMembers()
    {
        Span<byte> magic = stackalloc byte[4];
        int count = _file.ReadAtLeast(magic, magic.Length, throwOnEndOfStream: false);
        if (LayerCompression.Name(magic[..count]) is { } name)
        {
            throw new ImageException($"{Path} is compressed with {name}: unpack it first ({name} -d)");
        }

        _file.Position = 0;
        var reader = new TarReader(_file);
        while (reader.Next() is { } entry)
        {
            if (_members.Count == MaxMembers)
            {
                throw new ImageException(string.Create(CultureInfo.InvariantCulture, $"{Path} has more than {MaxMembers} files: it is no image"));
            }

            _members[Normal(entry.Name)] = entry;
        }
    }

    /// <summary>A file, or what a link in the archive leads to: docker's older versions write layers that are there twice so.</summary>
    private TarEntry? Find(string name)
    {
        string at = Normal(name);
        for (int i = 0; i < MaxLinks && _members.TryGetValue(at, out TarEntry? member); i++)
        {
            switch (member.Type)
            {
                case TarEntry.File:
                    return member;
                case TarEntry.HardLink:
                    at = Normal(member.LinkName);
                    break;
                case TarEntry.SymbolicLink:
                    at = Normal($"{System.IO.Path.GetDirectoryName(at)}/{member.LinkName}");
                    break;
                default:
                    return null;
            }
        }

        return null;
    }

    private static string Normal(string name)
    {
        var parts = new List<string>();
        foreach (string part in name.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            if (part == "..")
            {
                if (parts.Count > 0)
                {
                    parts.RemoveAt(parts.Count - 1);
                }
            }
            else if (part != ".")
            {
                parts.Add(part);
            }
        }

        return string.Join('/', parts);
    }
}
