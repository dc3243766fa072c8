using System.Globalization;

namespace Cnvm.Sandbox.Images;

/// <summary>The files that an image is made of: in a folder, or in an archive that is read where it lies.</summary>
internal abstract class ImageFiles : IDisposable
{
    /// <summary>What the files are in, for messages.</summary>
    public abstract string Path { get; }

    /// <summary>Opens one of the files.</summary>
    /// <param name="name">From the image's root on, with slashes.</param>
    /// <param name="length">Bytes.</param>
    /// <returns>Null if there is none; the caller's.</returns>
    public abstract Stream? TryOpen(string name, out long length);

    /// <summary>All of a small file.</summary>
    /// <exception cref="ImageException">It is not there, or too long.</exception>
    public byte[] Read(string name, int limit)
    {
        using Stream file = TryOpen(name, out long length) ?? throw new ImageException($"{Path} has no {name}");
        if (length > limit)
        {
            throw new ImageException(string.Create(CultureInfo.InvariantCulture, $"{name} in {Path} has {length} bytes; at most {limit} are read"));
        }

        byte[] data = new byte[length];
        file.ReadExactly(data);
        return data;
    }

    public abstract void Dispose();
}
