namespace Cnvm.Nested;

/// <summary>
/// A directory that is removed at the end. What a killed process left is removed by the next one that makes a directory with the same
/// prefix in the same place.
/// </summary>
public sealed class TemporaryDirectory : IDisposable
{
    private readonly FileStream _lock;

    /// <param name="parent">An existing directory.</param>
    /// <param name="prefix">Start of the name; whatever has this name there belongs to this class.</param>
    public TemporaryDirectory(string parent, string prefix)
    {
        RemoveAbandoned(parent, prefix);
        string name = prefix + System.IO.Path.GetRandomFileName();
        Path = System.IO.Path.Combine(parent, name);
        // Made under another name: a directory that can be found and is not locked yet would look abandoned.
        string making = System.IO.Path.Combine(parent, "." + name);
        Directory.CreateDirectory(making, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        // Held as long as this process lives: an unlocked directory has no owner any more.
        _lock = new FileStream(System.IO.Path.Combine(making, "lock"), FileMode.Create, FileAccess.ReadWrite, FileShare.None);
        Directory.Move(making, Path);
    }

    public string Path { get; }

    public string File(string name) => System.IO.Path.Combine(Path, name);

    public void Dispose()
    {
        _lock.Dispose();
        Directory.Delete(Path, recursive: true);
    }

    private static void RemoveAbandoned(string parent, string prefix)
    {
        foreach (var path in Directory.EnumerateDirectories(parent, prefix + "*"))
        {
            try
            {
                using (new FileStream(System.IO.Path.Combine(path, "lock"), FileMode.Open, FileAccess.ReadWrite, FileShare.None))
                {
                    Directory.Delete(path, recursive: true);
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Somebody's: in use, being filled just now, or of another user.
                continue;
            }
        }
    }
}
