using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Cnvm.Api.Registry;
using Cnvm.Cli.Containers;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;

namespace Cnvm.Cli.Commands;

/// <summary><c>cnvm ps</c>.</summary>
internal static class ListCommand
{
    private const int AnswerMilliseconds = 1000;

    public static int Run(Invocation invocation)
    {
        if (invocation.ApiSocket is not null)
        {
            throw CliException.Usage($"{Option.ApiSocket} has no meaning here; cnvm show takes it");
        }

        // First: the VMs of containers whose process was killed are ended by looking.
        IReadOnlyList<(string Name, ContainerState State)> containers = [.. ContainerFolder.List().Select(c => (c.Name, c.ReadState()))];
        IReadOnlyList<VmEntry> entries = VmRegistry.List();
        if (invocation.Has("--quiet"))
        {
            Stdio.Write(Stdio.Stdout, System.Text.Encoding.UTF8.GetBytes(string.Concat(entries.Select(e => e.Name + "\n"))));
            return ExitCode.Success;
        }

        (VmEntry Entry, VmSummary Vm)[] rows = [.. entries.Select(e => (e, VmSummary.Ask(e, AnswerMilliseconds)))];
        if (invocation.Json)
        {
            Stdio.Print(Json(rows, containers));
            return ExitCode.Success;
        }

        var table = new Table("NAME", "STATE", ">VCPUS", ">MEMORY", ">PID", ">UPTIME", "SOCKET");
        foreach ((VmEntry entry, VmSummary vm) in rows)
        {
            table.Add(
                entry.Name,
                vm.State,
                vm.Vcpus?.ToString(CultureInfo.InvariantCulture) ?? "-",
                vm.MemoryBytes is { } bytes ? Units.Size(bytes) : "-",
                entry.Pid.ToString(CultureInfo.InvariantCulture),
                Units.Duration(DateTimeOffset.UtcNow - entry.Started),
                entry.ApiSocket);
        }

        Stdio.Print(table.ToString());
        PrintContainers(containers);
        return ExitCode.Success;
    }

    private static void PrintContainers(IReadOnlyList<(string Name, ContainerState State)> containers)
    {
        var table = new Table("CONTAINER", "STATE", ">PID", ">CREATED", "IMAGE", "COMMAND");
        foreach ((string name, ContainerState state) in containers)
        {
            table.Add(
                name,
                state.ExitCode is { } code ? string.Create(CultureInfo.InvariantCulture, $"ended ({code})") : "running",
                state.ExitCode is null ? state.Pid.ToString(CultureInfo.InvariantCulture) : "-",
                Units.Duration(DateTimeOffset.UtcNow - state.Created),
                state.Image,
                Printable.Line(string.Join(' ', state.Command)));
        }

        if (containers.Count > 0)
        {
            Stdio.Print($"\n{table}");
        }
    }

    private static byte[] Json((VmEntry Entry, VmSummary Vm)[] rows, IReadOnlyList<(string Name, ContainerState State)> containers)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartArray();
            foreach ((VmEntry entry, VmSummary vm) in rows)
            {
                writer.WriteStartObject();
                writer.WriteString("name", entry.Name);
                writer.WriteString("state", vm.State);
                if (vm.Vcpus is { } vcpus)
                {
                    writer.WriteNumber("vcpus", vcpus);
                }

                if (vm.MemoryBytes is { } bytes)
                {
                    writer.WriteNumber("memory", bytes);
                }

                writer.WriteNumber("pid", entry.Pid);
                writer.WriteString("started", entry.Started);
                writer.WriteString("api_socket", entry.ApiSocket);
                writer.WriteEndObject();
            }

            foreach ((string name, ContainerState state) in containers)
            {
                WriteContainer(writer, name, state);
            }

            writer.WriteEndArray();
        }

        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Containers that have ended have no VM any more; the others' VMs stand in the list already.</summary>
    private static void WriteContainer(Utf8JsonWriter writer, string name, ContainerState state)
    {
        writer.WriteStartObject();
        writer.WriteString("container", name);
        writer.WriteString("state", state.ExitCode is null ? "running" : "ended");
        if (state.ExitCode is { } code)
        {
            writer.WriteNumber("exit_code", code);
        }

        writer.WriteString("image", state.Image);
        writer.WriteString("created", state.Created);
        writer.WriteEndObject();
    }
}
