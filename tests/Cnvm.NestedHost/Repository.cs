namespace Cnvm.Nested;

/// <summary>Where the working copy and its guest images are.</summary>
public static class Repository
{
    /// <summary>The directory that holds cnvm.sln, looked for upward from this program.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary><c>out/images</c>, or what CNVM_IMAGES names.</summary>
    public static string Images => Environment.GetEnvironmentVariable("CNVM_IMAGES") ?? Path.Combine(Root, "out", "images");

    /// <summary>A guest image.</summary>
    /// <exception cref="NestedHostException">It is not there; the message says how to make it.</exception>
    public static string Image(string name)
    {
        var path = Path.Combine(Images, name);
        return File.Exists(path) ? path : throw new NestedHostException($"{path} is missing; 'make images' makes it");
    }

    private static string FindRoot()
    {
        for (var directory = new DirectoryInfo(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (File.Exists(Path.Combine(directory.FullName, "cnvm.sln")))
            {
                return directory.FullName;
            }
        }

        throw new NestedHostException($"no cnvm.sln in or above {AppContext.BaseDirectory}");
    }
}
