namespace Cnvm.Linux;

/// <summary>Where programs are.</summary>
public static class ProgramPath
{
    /// <summary>The first file of that name in the folders of the environment's PATH; null if none has it.</summary>
    /// <param name="name">A name without folders.</param>
    /// <param name="before">A folder to look into first; null for none.</param>
    public static string? Find(string name, string? before = null)
    {
        IEnumerable<string> folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries);
        return (before is null ? folders : folders.Prepend(before)).Select(f => Path.Combine(f, name)).FirstOrDefault(File.Exists);
    }
}
