using System.Buffers.Binary;

namespace Cnvm.Linux;

/// <summary>
/// Sends whatever an interface receives out of another one, before this machine's own network sees it: an <c>ingress</c> queueing discipline, a filter
/// that every packet matches, and the action <c>mirred</c> (tc-u32(8), tc-mirred(8)). It goes with the interface, or by <see cref="Remove"/>; when the other
/// interface goes, packets are dropped.
/// </summary>
public static class TrafficRedirect
{
    private const uint FirstPriority = 1 << 16;

    /// <param name="socket">Of the network namespace that has both interfaces.</param>
    /// <param name="from">Number of the interface that receives.</param>
    /// <param name="to">Number of the interface that sends.</param>
    /// <exception cref="LinuxException">There is an ingress discipline already (EEXIST), an interface is missing, or the kernel refuses; nothing is left then.</exception>
    public static void Make(RouteSocket socket, int from, int to)
    {
        ArgumentNullException.ThrowIfNull(socket);
        var discipline = new tcmsg { tcm_ifindex = from, tcm_handle = RouteSpec.TC_H_INGRESS & RouteSpec.TC_H_MAJ_MASK, tcm_parent = RouteSpec.TC_H_INGRESS };
        socket.Order(
            $"add an ingress queueing discipline to network interface {from}", RouteSpec.RTM_NEWQDISC, RouteSocket.Create | RouteSocket.Exclusive,
            NetlinkMessage.BytesOf(discipline), m => m.Add(RouteSpec.TCA_KIND, "ingress"));
        try
        {
            var filter = new tcmsg
            {
                tcm_ifindex = from,
                tcm_parent = RouteSpec.TC_H_INGRESS & RouteSpec.TC_H_MAJ_MASK,
                tcm_info = FirstPriority | BinaryPrimitives.ReverseEndianness(RouteSpec.ETH_P_ALL),
            };
            socket.Order(
                $"redirect network interface {from} to {to}", RouteSpec.RTM_NEWTFILTER, RouteSocket.Create | RouteSocket.Exclusive,
                NetlinkMessage.BytesOf(filter), m => m.Add(RouteSpec.TCA_KIND, "u32").AddNested(RouteSpec.TCA_OPTIONS, o => AddRule(o, to)));
        }
        catch
        {
            Remove(socket, from);
            throw;
        }
    }

    /// <summary>Takes an interface's ingress discipline away, whoever has made it.</summary>
    /// <returns>False if it had none, or is not there.</returns>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public static bool Remove(RouteSocket socket, int from)
    {
        ArgumentNullException.ThrowIfNull(socket);
        var discipline = new tcmsg { tcm_ifindex = from, tcm_parent = RouteSpec.TC_H_INGRESS };
        int error = socket.TryOrder(RouteSpec.RTM_DELQDISC, 0, NetlinkMessage.BytesOf(discipline), m => m);
        return error switch
        {
            0 => true,
            Errno.ENOENT or Errno.ENODEV => false,
            _ => throw new LinuxException($"remove the ingress queueing discipline of network interface {from}", error),
        };
    }

    private static void AddRule(NetlinkMessage options, int to)
    {
        // One key whose mask is empty: every packet has it.
        byte[] every =
        [
            .. NetlinkMessage.BytesOf(new tc_u32_sel { flags = RouteSpec.TC_U32_TERMINAL, nkeys = 1 }), .. NetlinkMessage.BytesOf(default(tc_u32_key)),
        ];
        var redirect = new tc_mirred { action = RouteSpec.TC_ACT_STOLEN, eaction = RouteSpec.TCA_EGRESS_REDIR, ifindex = (uint)to };
        const ushort FirstAction = 1;
        options.Add(RouteSpec.TCA_U32_SEL, every).AddNested(
            RouteSpec.TCA_U32_ACT,
            actions => actions.AddNested(
                FirstAction,
                action => action.Add(RouteSpec.TCA_ACT_KIND, "mirred").AddNested(RouteSpec.TCA_ACT_OPTIONS, o => o.AddStruct(RouteSpec.TCA_MIRRED_PARMS, redirect))));
    }
}
