namespace Cnvm.Shim.Sandboxes;

/// <summary>Where cnvm's own kernel and initramfs for sandboxes are.</summary>
internal static class GuestImages
{
    public const string Kernel = "vmlinux-small";
    public const string Initramfs = "sandbox-initramfs.cpio";
    private const string Variable = "CNVM_IMAGES";

    /// <summary>The folder that CNVM_IMAGES names, else those beside the program and where it is installed.</summary>
    /// <param name="name">Of the file.</param>
    /// <exception cref="ShimException">It is in none of them.</exception>
    public static string Find(string name)
    {
        string program = Path.GetDirectoryName(Environment.ProcessPath) ?? "/";
        string[] folders = Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } chosen
            ? [chosen]
            : [Path.GetFullPath(Path.Combine(program, "../images")), Path.GetFullPath(Path.Combine(program, "../share/cnvm")), "/usr/share/cnvm"];
        return folders.Select(f => Path.Combine(f, name)).FirstOrDefault(File.Exists)
            ?? throw new ShimException($"{name} is not in {string.Join(", ", folders)}: set {Variable} in containerd's environment, or name the file in the runtime's configuration");
    }
}
