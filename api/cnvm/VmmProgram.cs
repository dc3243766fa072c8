using Cnvm.Linux;

namespace Cnvm.Cli;

/// <summary>The program that VMs run in, and that knows the hypervisors.</summary>
internal static class VmmProgram
{
    public const string Name = "cnvm-vmm";
    private const string Variable = "CNVM_VMM";

    /// <summary>Path of the one that was chosen, else the one beside this program, else the one in PATH.</summary>
    /// <exception cref="CliException">There is none.</exception>
    public static string Find()
    {
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } chosen)
        {
            return File.Exists(chosen)
                ? Path.GetFullPath(chosen)
                : throw new CliException(ExitCode.Failure, $"{Variable} names {chosen}, which does not exist");
        }

        return ProgramPath.Find(Name, before: Path.GetDirectoryName(Environment.ProcessPath))
            ?? throw new CliException(ExitCode.Failure, $"{Name} is neither beside cnvm nor in PATH; set {Variable} to where it is");
    }
}
