using Cnvm.Linux;

namespace Cnvm.GuestAgent;

/// <summary>The same for folders as <see cref="File"/> for files.</summary>
internal static class Directory
{
    public static bool Exists(string path) => System.IO.Directory.Exists(path);

    public static void CreateDirectory(string path) => System.IO.Directory.CreateDirectory(path);

    /// <param name="start">How their names begin.</param>
    /// <returns>Whole paths.</returns>
    public static IEnumerable<string> GetDirectories(string path, string start = "") =>
        Folders.NamesIn(path).Where(n => n.StartsWith(start, StringComparison.Ordinal)).Select(n => $"{path}/{n}");

    public static void Delete(string path) => Folders.Remove(path);
}
