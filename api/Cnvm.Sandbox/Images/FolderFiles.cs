namespace Cnvm.Sandbox.Images;

/// <summary>An image that lies in a folder.</summary>
internal sealed class FolderFiles(string path) : ImageFiles
{
    public override string Path => path;

    public override Stream? TryOpen(string name, out long length)
    {
        string file = System.IO.Path.Combine(path, name);
        if (!File.Exists(file))
        {
            length = 0;
            return null;
        }

        var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read);
        length = stream.Length;
        return stream;
    }

    public override void Dispose()
    {
    }
}
