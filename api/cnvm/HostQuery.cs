using System.Text;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;
using Cnvm.CommandLine;
using Cnvm.Linux;

namespace Cnvm.Cli;

/// <summary>
/// Asks cnvm-vmm what this host can run: the hypervisors are in that program, and this one stays small without them.
/// </summary>
internal static class HostQuery
{
    private const int LimitMilliseconds = 30_000;
    private const int MaxAnswerBytes = 1 << 20;

    /// <summary>The option by which commands choose the hypervisor.</summary>
    public static Option Hypervisor { get; } =
        new(Flags.Hypervisor, "NAME", "auto (default), kvm or soft, as the flag of cnvm-vmm") { Choices = ["auto", "kvm", "soft"] };

    /// <summary>The host's description, as a file has it.</summary>
    /// <exception cref="CliException">There is no such hypervisor or no cnvm-vmm, or it cannot tell.</exception>
    public static byte[] Ask(Invocation invocation)
    {
        string hypervisor = invocation.Value(Hypervisor.Name) ?? Hypervisor.Choices[0];
        if (!Hypervisor.Choices.Contains(hypervisor))
        {
            throw CliException.Usage($"{Hypervisor.Name}: '{hypervisor}' is not one of {string.Join(", ", Hypervisor.Choices)}");
        }

        string program = VmmProgram.Find();
        string folder = Directory.CreateTempSubdirectory("cnvm-").FullName;
        try
        {
            using FileStream output = Create(folder, "output");
            using FileStream errors = Create(folder, "errors");
            using DetachedProcess process = DetachedProcess.Start(
                program, [VmmProgram.Name, Flags.HostCapabilities, Flags.Hypervisor, hypervisor], Descriptor(output), Descriptor(errors));
            if (Poll.Wait([new PollEntry { Fd = process.Fd, Events = PollEntry.In }], LimitMilliseconds) == 0)
            {
                throw new CliException(
                    ExitCode.TimedOut, $"process {process.Id}, {program}, does not say what this host runs; it was left alone");
            }

            string said = Encoding.UTF8.GetString(BoundedFile.Read(errors, MaxAnswerBytes)).Trim();
            if (process.ExitCode() is not 0)
            {
                throw new CliException(
                    ExitCode.Failure, said.Length == 0 ? $"{program} ended without a message" : $"{VmmProgram.Name} ended:\n{said}");
            }

            // Why auto chose what it chose.
            if (said.Length > 0)
            {
                Stdio.Error(said);
            }

            return BoundedFile.Read(output, MaxAnswerBytes);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static FileStream Create(string folder, string name) =>
        new(Path.Combine(folder, name), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite);

    private static int Descriptor(FileStream file) => (int)file.SafeFileHandle.DangerousGetHandle();
}
