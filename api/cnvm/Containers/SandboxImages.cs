namespace Cnvm.Cli.Containers;

/// <summary>Where the guest's kernel and the initramfs with the agent are.</summary>
internal static class SandboxImages
{
    public const string Kernel = "vmlinux-small";
    public const string Initramfs = "sandbox-initramfs.cpio";
    private const string Variable = "CNVM_IMAGES";

    /// <summary>The file that was chosen, else the one in CNVM_IMAGES, beside the program, or where it is installed.</summary>
    /// <exception cref="CliException">There is none.</exception>
    public static string Find(string? chosen, string name, string option)
    {
        if (chosen is not null)
        {
            return File.Exists(chosen) ? Path.GetFullPath(chosen) : throw new CliException(ExitCode.Failure, $"{option}: there is no file {chosen}");
        }

        string beside = Path.GetDirectoryName(Environment.ProcessPath) ?? "/";
        string?[] folders =
        [
            Environment.GetEnvironmentVariable(Variable), beside, Path.Combine(beside, "..", "images"), Path.Combine(beside, "..", "share", "cnvm"),
            "/usr/share/cnvm",
        ];
        foreach (string? folder in folders)
        {
            if (folder is { Length: > 0 } && Path.GetFullPath(Path.Combine(folder, name)) is var file && File.Exists(file))
            {
                return file;
            }
        }

        throw new CliException(
            ExitCode.Failure,
            $"there is no {name} in {string.Join(", ", folders.Where(f => f is { Length: > 0 }).Select(f => Path.GetFullPath(f!)))}: make images makes it; {option} or {Variable} says where it is");
    }
}
