namespace Cnvm.GuestAgent.Seccomp;

/// <summary>A comparison of an argument of a system call, without sign.</summary>
/// <param name="Index">0 to 5.</param>
/// <param name="Value">For a masked comparison, the mask.</param>
/// <param name="SecondValue">For a masked comparison, the value.</param>
/// <param name="Operator">SCMP_CMP_ name.</param>
internal sealed record SeccompCondition(int Index, ulong Value, ulong SecondValue, string Operator);
