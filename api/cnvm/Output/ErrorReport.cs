using System.Text;
using System.Text.Json;
using Cnvm.Api;
using Cnvm.CommandLine;

namespace Cnvm.Cli.Output;

/// <summary>How a failure is told: lines for people, or one JSON object, on standard error.</summary>
internal static class ErrorReport
{
    public static int ExitCodeOf(Exception error) => error switch
    {
        CliException e => e.ExitCode,
        CommandLineException => ExitCode.Usage,
        _ => ExitCode.Failure,
    };

    public static void Write(Exception error, string? command, bool json) =>
        Stdio.Error(json ? Json(error) : Text(error, command));

    private static string Text(Exception error, string? command)
    {
        string[] chain = ChainOf(error);
        var text = new StringBuilder("cnvm: ");
        if (command is not null && error is not CliException { ExitCode: ExitCode.NoSuchVm })
        {
            text.Append(command).Append(": ");
        }

        text.Append(error is ApiCallException refused ? $"the VMM refused {refused.Endpoint} ({refused.Status})" : chain[0]);
        foreach (string cause in error is ApiCallException ? chain : chain[1..])
        {
            text.Append("\n  because: ").Append(cause);
        }

        return text.ToString();
    }

    private static string Json(Exception error)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString("error", error is ApiCallException refused ? $"the VMM refused {refused.Endpoint}" : error.Message);
            if (error is ApiCallException { Status: var status })
            {
                writer.WriteNumber("status", status);
            }

            writer.WriteNumber("exit_code", ExitCodeOf(error));
            writer.WriteStartArray("chain");
            foreach (string message in ChainOf(error))
            {
                writer.WriteStringValue(message);
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.ToArray());
    }

    /// <summary>Messages from the outside in. The contract's chains begin with a line that says nothing.</summary>
    private static string[] ChainOf(Exception error)
    {
        if (error is ApiCallException refused)
        {
            return [.. refused.Chain.Where(m => m != "Error from API")];
        }

        var chain = new List<string>();
        for (Exception? e = error; e is not null; e = e.InnerException)
        {
            if (!chain.Contains(e.Message))
            {
                chain.Add(e.Message);
            }
        }

        return [.. chain];
    }
}
