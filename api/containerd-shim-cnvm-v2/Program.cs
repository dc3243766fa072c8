using Cnvm.CommandLine;
using Cnvm.Linux;
using Cnvm.Shim.Messages;
using Cnvm.Ttrpc;

namespace Cnvm.Shim;

/// <summary>The program <c>containerd-shim-cnvm-v2</c>: containerd's runtime io.containerd.cnvm.v2.</summary>
internal static class Program
{
    public const string Name = "containerd-shim-cnvm-v2";
    private const int Failed = 1;
    private const int WrongUsage = 2;
    private const int Stdout = 1;

    private static async Task<int> Main(string[] args)
    {
        try
        {
            ShimArguments arguments = ShimArguments.Parse(args);
            if (arguments.ShowHelp)
            {
                ProgramOutput.Print(ShimHelp.Text);
                return 0;
            }

            if (arguments.ShowVersion)
            {
                ProgramOutput.Print($"{Name} v{BuildVersion.Full}");
                return 0;
            }

            if (arguments.ShowInfo)
            {
                var info = new RuntimeInfo { Name = "io.containerd.cnvm.v2", Version = new RuntimeVersion { Version = BuildVersion.Full } };
                Write(ProtoWriter.ToBytes(info));
                return 0;
            }

            switch (arguments)
            {
                case { Namespace.Length: 0 } or { Id.Length: 0 } or { Address.Length: 0 }:
                    throw new CommandLineException("-namespace, -id and -address are needed: containerd starts this program with them, and --help says how to have it do so");
                case { Action: "start" }:
                    Write(System.Text.Encoding.UTF8.GetBytes(StartCommand.Run(arguments)));
                    return 0;
                case { Action: "delete" }:
                    Write(ProtoWriter.ToBytes(DeleteCommand.Run(arguments, new Sandboxes.SandboxFactory(Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance))));
                    return 0;
                case { Socket.Length: > 0 }:
                    return await ServeCommand.RunAsync(arguments);
                default:
                    throw new CommandLineException("what to do is missing: start or delete");
            }
        }
        catch (CommandLineException e)
        {
            ProgramOutput.PrintError(Name, e);
            return WrongUsage;
        }
        catch (Exception e) when (e is ShimException or IOException or UnauthorizedAccessException or TtrpcException)
        {
            ProgramOutput.PrintError(Name, e);
            return Failed;
        }
    }

    // Without the end of a line: containerd takes every byte.
    private static void Write(ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            int count = FileIo.Write(Stdout, bytes);
            bytes = count > 0 ? bytes[count..] : throw new LinuxException("write to stdout", -count);
        }
    }
}
