using Cnvm.Linux;

namespace Cnvm.Sandbox.Machine;

/// <summary>Where the program cnvm-vmm is.</summary>
internal static class VmmProgram
{
    public const string Name = "cnvm-vmm";
    private const string Variable = "CNVM_VMM";

    /// <summary>The one that was chosen, else the one that CNVM_VMM names, else the one beside this program, else the one in PATH.</summary>
    /// <exception cref="SandboxException">There is none.</exception>
    public static string Find(string? chosen)
    {
        if (chosen is not null)
        {
            return Existing(chosen, $"{nameof(SandboxOptions.VmmPath)}");
        }

        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } named)
        {
            return Existing(named, Variable);
        }

        return ProgramPath.Find(Name, before: Path.GetDirectoryName(Environment.ProcessPath))
            ?? throw new SandboxException(
                SandboxErrorKind.Host, $"{Name} is neither beside {Environment.ProcessPath} nor in PATH; set {Variable} to where it is");
    }

    private static string Existing(string path, string where) => File.Exists(path)
        ? Path.GetFullPath(path)
        : throw new SandboxException(SandboxErrorKind.Host, $"{where} names {path}, which does not exist");
}
