using Cnvm.Sandbox.Images;

namespace Cnvm.Sandbox.Tests.Support;

/// <summary>An image of documents in memory.</summary>
internal sealed class DocumentFiles : ImageFiles
{
    private readonly Dictionary<string, byte[]> _files = [];

    public override string Path => "memory";

    public byte[] this[string name]
    {
        set => _files[name] = value;
    }

    /// <summary>Puts a document where its digest says; returns its descriptor.</summary>
    public string Add(byte[] document)
    {
        string digest = ImageBuilder.Digest(document);
        _files[$"blobs/sha256/{digest["sha256:".Length..]}"] = document;
        return $$"""{"digest":"{{digest}}","size":{{document.Length}}}""";
    }

    public override Stream? TryOpen(string name, out long length)
    {
        bool isThere = _files.TryGetValue(name, out byte[]? data);
        length = data?.Length ?? 0;
        return isThere ? new MemoryStream(data!) : null;
    }

    public override void Dispose()
    {
    }
}
