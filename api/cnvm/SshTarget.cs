using System.IO.Pipes;
using System.Text;
using Cnvm.Cli.Output;
using Cnvm.Linux;

namespace Cnvm.Cli;

/// <summary>Another host, where commands run through ssh or something that is called like it: options, host, and one word for the shell there.</summary>
/// <param name="ssh">Program and its options, separated by spaces.</param>
/// <param name="host">As ssh takes it.</param>
/// <param name="cnvm">The program there.</param>
internal sealed class SshTarget(string ssh, string host, string cnvm)
{
    // A network that goes silently would leave whoever waits for a word waiting for good (ssh_config(5)). Behind the user's options, of which ssh takes the first.
    private static readonly string[] Liveness = ["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"];

    public string Host => host;

    /// <summary>Starts cnvm there with these arguments.</summary>
    /// <param name="input">Descriptor for its input; stays the caller's.</param>
    /// <param name="output">Descriptor for its output; stays the caller's.</param>
    /// <exception cref="CliException">There is no ssh.</exception>
    /// <exception cref="LinuxException">It cannot be started.</exception>
    public DetachedProcess Start(IReadOnlyList<string> arguments, int input, int output)
    {
        string[] words = ssh.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        string program = Find(words.Length > 0 ? words[0] : throw CliException.Usage("--ssh: which program?"));
        string command = string.Join(' ', arguments.Prepend(cnvm).Select(Quote));
        return DetachedProcess.StartHere(program, [.. words, .. Liveness, host, command], input, output, Stdio.Stderr);
    }

    /// <summary>Starts cnvm there and reads what it says; its input ends when the result is disposed.</summary>
    public SshCommand Start(IReadOnlyList<string> arguments)
    {
        var input = new AnonymousPipeServerStream(PipeDirection.Out, HandleInheritability.None);
        var output = new AnonymousPipeServerStream(PipeDirection.In, HandleInheritability.None);
        DetachedProcess process = Start(
            arguments, (int)input.ClientSafePipeHandle.DangerousGetHandle(), (int)output.ClientSafePipeHandle.DangerousGetHandle());
        input.DisposeLocalCopyOfClientHandle();
        output.DisposeLocalCopyOfClientHandle();
        return new SshCommand(process, input, new StreamReader(output, Encoding.UTF8));
    }

    /// <summary>One word for a shell, whatever is in it.</summary>
    internal static string Quote(string word) => $"'{word.Replace("'", "'\\''", StringComparison.Ordinal)}'";

    private static string Find(string program)
    {
        if (program.Contains('/', StringComparison.Ordinal))
        {
            return program;
        }

        return ProgramPath.Find(program)
            ?? throw new CliException(ExitCode.Failure, $"there is no {program} in PATH; --ssh names another program");
    }
}
