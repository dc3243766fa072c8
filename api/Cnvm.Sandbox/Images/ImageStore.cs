using Cnvm.Linux;

namespace Cnvm.Sandbox.Images;

/// <summary>
/// Unpacked images by the digest of their configuration, each once. Several processes may use one store: who unpacks keeps the others
/// waiting, and a name appears when all of its image is there.
/// </summary>
/// <param name="folder">Made at the first use, for this user alone.</param>
public sealed partial class ImageStore(string folder)
{
    private const string RootfsName = "rootfs";
    private const string UnfinishedPrefix = "unfinished-";

    /// <summary>Where images go unless something else is said: <c>$CNVM_CACHE/images</c>, else <c>~/.cache/cnvm/images</c>.</summary>
    public static string DefaultFolder
    {
        get
        {
            string cache = Environment.GetEnvironmentVariable("CNVM_CACHE") is { Length: > 0 } chosen
                ? Path.GetFullPath(chosen)
                : Path.Combine(Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } home && Path.IsPathRooted(home)
                    ? home
                    : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"), "cnvm");
            return Path.Combine(cache, "images");
        }
    }

    /// <summary>Where the images lie.</summary>
    public string Folder { get; } = Path.GetFullPath(folder);

    /// <summary>Most bytes of all files of an image together: 64 GiB unless something else is said.</summary>
    public long LimitBytes { get; init; } = 64L << 30;

    /// <summary>Unpacks an image, unless it is there already. A folder that is no image layout is taken as a root file system as it is.</summary>
    /// <param name="source">
    /// A folder with an OCI image layout, an archive of one or of <c>docker save</c>, or a root file system. <c>:NAME</c> behind it chooses
    /// one of several; <c>oci:</c>, <c>oci-archive:</c>, <c>docker-archive:</c> and <c>dir:</c> before it are taken as skopeo does. Or one that is
    /// fetched (<see cref="IsRemote"/>), as <see cref="FetchAsync"/> does, if it has not been.
    /// </param>
    /// <param name="cancellation">Looked at between layers.</param>
    /// <exception cref="ImageException">It is none, or damaged, or for another machine.</exception>
    /// <exception cref="IOException">The host's file system fails.</exception>
    public Task<ContainerImage> OpenAsync(string source, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(source);
        return Task.Run(() => Open(source, cancellation), cancellation);
    }

    private ContainerImage Open(string source, CancellationToken cancellation)
    {
        source = IsRemote(source) ? Fetch(source, again: false, cancellation) : source;
        (string path, string? name) = Split(source);
        if (Directory.Exists(path) && !File.Exists(Path.Combine(path, OciLayout.Marker)))
        {
            return name is null
                ? new ContainerImage(Path.GetFullPath(path), new ImageConfig(), IsShared: false)
                : throw new ImageException($"{path} is a root file system, which has no images with names: leave :{name} out");
        }

        try
        {
            using ImageFiles files = Directory.Exists(path) ? new FolderFiles(Path.GetFullPath(path)) : new ArchiveFiles(Path.GetFullPath(path));
            ImageManifest manifest = Find(files, name);
            return new ContainerImage(Unpack(files, manifest, cancellation), manifest.Config, IsShared: true);
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException)
        {
            throw new ImageException($"{path} is damaged: {e.Message}", e);
        }
    }

    private static ImageManifest Find(ImageFiles files, string? name)
    {
        if (files is FolderFiles || files is ArchiveFiles archive && archive.Has(OciLayout.Marker))
        {
            return OciLayout.Find(files, name);
        }

        return ((ArchiveFiles)files).Has(DockerArchive.Manifest)
            ? DockerArchive.Find(files, name)
            : throw new ImageException(
                $"{files.Path} has neither {OciLayout.Marker} nor {DockerArchive.Manifest}: it is no image (a root file system is given as a folder)");
    }

    private string Unpack(ImageFiles files, ImageManifest manifest, CancellationToken cancellation)
    {
        using PrivateDirectory taken = OpenFolder();
        string finished = Path.Combine(Folder, $"sha256-{manifest.Digest.Hex}");
        string rootfs = Path.Combine(finished, RootfsName);
        if (Directory.Exists(rootfs))
        {
            return rootfs;
        }

        // What a process left behind that was killed while it unpacked: nobody else does now.
        foreach (string left in Directory.EnumerateDirectories(Folder, UnfinishedPrefix + "*"))
        {
            RemoveTree(left);
        }

        string unfinished = Path.Combine(Folder, UnfinishedPrefix + manifest.Digest.Hex[..16]);
        Directory.CreateDirectory(Path.Combine(unfinished, RootfsName));
        try
        {
            using (DirectoryTree tree = DirectoryTree.Open(Path.Combine(unfinished, RootfsName)))
            {
                tree.SetAttributes("", null, 0x1ed, DateTimeOffset.UnixEpoch);
                var unpacker = new LayerUnpacker(tree, LimitBytes);
                foreach (ImageLayer layer in manifest.Layers)
                {
                    cancellation.ThrowIfCancellationRequested();
                    Apply(files, layer, unpacker);
                }

                unpacker.Finish();
            }

            Directory.Move(unfinished, finished);
            return rootfs;
        }
        catch
        {
            RemoveTree(unfinished);
            throw;
        }
    }

    /// <summary>The store's folder, which nobody else changes until this is disposed.</summary>
    private PrivateDirectory OpenFolder()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Folder)!);
        return PrivateDirectory.Open(Folder, create: true)!;
    }

    private void Apply(ImageFiles files, ImageLayer layer, LayerUnpacker unpacker)
    {
        string what = $"layer {layer.File} of {files.Path}";
        Stream file = files.TryOpen(layer.File, out long length) ?? throw new ImageException($"{what} is missing");
        if (layer.Size is { } size && size != length)
        {
            file.Dispose();
            throw new ImageException($"{what} has {length} bytes, and {size} were announced");
        }

        using var packed = new HashingStream(file);
        using var content = new HashingStream(new BoundedStream(LayerCompression.Open(packed, what), LimitOfContent, what));
        unpacker.Apply(content);
        content.Verify(layer.Content, $"the content of {what}");
        if (layer.Packed is { } digest)
        {
            packed.Verify(digest, what);
        }
    }

    // Headers and padding come on top of what files have.
    private long LimitOfContent => Math.Min(LimitBytes, long.MaxValue / 4) * 2 + (64L << 20);

    private static void RemoveTree(string path)
    {
        using (DirectoryTree tree = DirectoryTree.Open(path))
        {
            tree.RemoveBelow("", static _ => false);
        }

        Directory.Delete(path);
    }

    private static (string Path, string? Name) Split(string source)
    {
        foreach (string kind in (ReadOnlySpan<string>)["oci:", "oci-archive:", "docker-archive:", "dir:"])
        {
            if (source.StartsWith(kind, StringComparison.Ordinal))
            {
                source = source[kind.Length..];
                break;
            }
        }

        if (Path.Exists(source))
        {
            return (source, null);
        }

        // The shortest path that exists: names of images have colons too.
        for (int colon = source.IndexOf(':', StringComparison.Ordinal); colon > 0; colon = source.IndexOf(':', colon + 1))
        {
            if (Path.Exists(source[..colon]))
            {
                return (source[..colon], source[(colon + 1)..]);
            }
        }

        throw new SandboxException(
            SandboxErrorKind.NotFound,
            $"there is no image at {source}: give a folder or archive on this machine, or docker://NAME, which skopeo fetches");
    }
}
