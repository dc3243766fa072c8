using System.Text.Json;
using Cnvm.Api.Json;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;
using Cnvm.CommandLine;
using Cnvm.Linux;
using Cnvm.Vmm.Config;

namespace Cnvm.Cli.Commands;

/// <summary><c>cnvm create</c>: the VM's configuration from a file, standard input or flags.</summary>
internal static class CreateCommand
{
    /// <summary>What a VMM takes.</summary>
    private const int MaxBytes = 4 << 20;

    public static int Run(Invocation invocation) => RequestCommand.Send(invocation, "PUT", "vm.create", Body(invocation));

    private static byte[] Body(Invocation invocation)
    {
        if (invocation.VmmFlags.Count > 0)
        {
            return invocation.Operands.Count == 0
                ? FromFlags(invocation.VmmFlags)
                : throw CliException.Usage($"the VM is described by {invocation.Operands[0]} or by flags: give one of them");
        }

        // As ch-remote does, standard input is read without being named; not from a person, who would wait.
        if (invocation.Operands.Count == 0 && Terminal.IsTerminal(Stdio.Stdin))
        {
            throw CliException.Usage($"what VM? Give a JSON file, - for standard input, or flags; usage: cnvm {invocation.Command!.Usage}");
        }

        string file = invocation.Operands.Count == 0 ? "-" : invocation.Operands[0];
        using Stream stream = File.OpenRead(file == "-" ? "/dev/stdin" : file);
        return ReadJson(stream, file == "-" ? "standard input" : file);
    }

    private static byte[] FromFlags(IReadOnlyList<string> words)
    {
        var arguments = new Arguments(words);
        foreach (string word in words)
        {
            string name = word.Split('=')[0];
            if (Flags.Find(name) is { IsVmConfig: false })
            {
                throw CliException.Usage($"{name} is a flag of the VMM, which runs already; only flags that describe the VM can be given here");
            }
        }

        VmConfig config = VmConfigArguments.Parse(arguments)!;
        if ((config.Net ?? []).Any(n => n.Fds is not null))
        {
            throw CliException.Usage("--net: descriptors cannot be passed when a VM is created; use cnvm add-net");
        }

        VmConfigValidator.ThrowIfInvalid(config);
        return JsonBody.Write(WithAbsolutePaths(config), ApiJsonContext.Default.VmConfig);
    }

    /// <summary>The VMM's folder is not the caller's: files are named from the root.</summary>
    private static VmConfig WithAbsolutePaths(VmConfig config) => config with
    {
        Payload = config.Payload! with
        {
            Kernel = Absolute(config.Payload.Kernel),
            Initramfs = Absolute(config.Payload.Initramfs),
        },
        Disks = config.Disks?.Select(d => d with { Path = Absolute(d.Path), VhostSocket = Absolute(d.VhostSocket) }).ToList(),
        Net = config.Net?.Select(n => n with { VhostSocket = Absolute(n.VhostSocket), Socket = Absolute(n.Socket) }).ToList(),
        Fs = config.Fs?.Select(f => f with { Path = Absolute(f.Path), Socket = Absolute(f.Socket) }).ToList(),
        Serial = config.Serial with { File = Absolute(config.Serial.File), Socket = Absolute(config.Serial.Socket) },
        Console = config.Console with { File = Absolute(config.Console.File), Socket = Absolute(config.Console.Socket) },
        DebugConsole = config.DebugConsole with { File = Absolute(config.DebugConsole.File) },
    };

    private static string? Absolute(string? path) => path is null ? null : Path.GetFullPath(path);

    private static byte[] ReadJson(Stream stream, string name)
    {
        using var buffer = new MemoryStream();
        byte[] part = new byte[64 << 10];
        int count;
        while ((count = stream.Read(part)) > 0)
        {
            buffer.Write(part, 0, count);
            if (buffer.Length > MaxBytes)
            {
                throw new CliException(ExitCode.Failure, $"{name} is longer than the {Units.Size(MaxBytes)} that a VMM takes");
            }
        }

        byte[] body = buffer.ToArray();
        try
        {
            var reader = new Utf8JsonReader(body);
            while (reader.Read())
            {
                // Only whether it can be read to its end.
            }
        }
        catch (JsonException e)
        {
            throw new CliException(ExitCode.Failure, $"{name} is no JSON: {e.Message}");
        }

        return body;
    }
}
