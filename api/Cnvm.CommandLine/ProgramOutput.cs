using System.Text;
using Cnvm.Linux;

namespace Cnvm.CommandLine;

/// <summary>
/// What the programs that run for long print at their start or end. stdout and stderr are written without System.Console, whose encodings and terminal
/// settings these programs have no use for. Any thread.
/// </summary>
public static class ProgramOutput
{
    private const int Stdout = 1;
    private const int Stderr = 2;

    /// <summary>Writes a text and the end of its line to stdout, as far as somebody reads it.</summary>
    public static void Print(string text) => Write(Stdout, text);

    /// <summary>Says on stderr why a program ends.</summary>
    /// <param name="program">Name of the program.</param>
    public static void PrintError(string program, Exception error) => Write(Stderr, Describe(program, error));

    /// <summary>What went wrong and, indented, why.</summary>
    /// <param name="program">Name of the program.</param>
    public static string Describe(string program, Exception error)
    {
        ArgumentNullException.ThrowIfNull(error);
        var text = new StringBuilder(program).Append(": ").Append(error.Message);
        string said = error.Message;
        for (Exception? cause = error.InnerException; cause is not null; cause = cause.InnerException)
        {
            // Layers that only change an exception's type repeat its message.
            if (cause.Message != said)
            {
                text.Append("\n  because: ").Append(cause.Message);
                said = cause.Message;
            }
        }

        return text.ToString();
    }

    private static void Write(int fd, string text)
    {
        ReadOnlySpan<byte> bytes = Encoding.UTF8.GetBytes(text + "\n");
        while (bytes.Length > 0)
        {
            int written = FileIo.Write(fd, bytes);
            if (written <= 0)
            {
                return;
            }

            bytes = bytes[written..];
        }
    }
}
